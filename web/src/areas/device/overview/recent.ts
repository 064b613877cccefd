// The recent course of every number of a device: fetched once, then continued by what is heard.

import { askPast } from '../history/ask';

export interface Point {
  at: number;
  value: number;
}
export type Recent = Readonly<Record<string, Point[]>>;

/** An hour in minutes: enough to see where a value is going. */
const PERIOD = '1h';
const SPANS = 60;

/** Loads the last hour of each key as means of a minute. Texts have no course. */
export async function loadRecent(id: string, keys: string[]): Promise<Recent> {
  if (!keys.length) return {};
  const series = await askPast({ device_ids: [id], keys, period: PERIOD, buckets: SPANS, agg: ['mean'] });
  const recent: Record<string, Point[]> = {};
  for (const { key, points } of series) {
    recent[key] = (points as { t: number; mean?: number | null }[]).flatMap(({ t, mean }) =>
      typeof mean === 'number' ? [{ at: t, value: mean }] : [],
    );
  }
  return recent;
}

/** The length of a span, ms. */
const SPAN_MS = 60_000;

/** The fetched course, continued by what was heard: means of a minute like the fetched ones, or the end would tremble. */
export function joined(past: Point[] | undefined, heard: Point[] | undefined): Point[] {
  const last = past?.[past.length - 1];
  if (!past || !last) return heard ?? [];
  const spans: Point[] = [];
  let [count, span] = [1, last];
  for (const { at, value } of heard ?? []) {
    if (at <= last.at) continue;
    if (at >= span.at + SPAN_MS) {
      spans.push(span);
      [count, span] = [1, { at, value }];
    } else {
      count++;
      span = { at: span.at, value: span.value + (value - span.value) / count };
    }
  }
  return [...past.slice(0, -1), ...spans, span];
}
