// Asks for what was measured in a span: the points as they are when they are few, else one value per bucket.

import type { Json } from '$/api/client';
import { askPast } from './ask';
import { autoInterval, intervalMs, type Span } from './range';
import type { Course, Loaded } from './series';

export const AGGREGATES = {
  auto: 'Automatic',
  mean: 'Mean',
  min: 'Minimum',
  max: 'Maximum',
  last: 'Last',
  sum: 'Sum',
  count: 'Count',
} as const;
export type Aggregate = keyof typeof AGGREGATES;

export interface Wish {
  id: string;
  keys: string[];
  span: Span;
  aggregate: Aggregate;
  /** `auto` or the length of a bucket. */
  interval: string;
  tz: string;
}

/** Points per key that are drawn one by one. */
const MOST_POINTS = 1500;

/** The bucket that a wish leads to, unless its points are drawn one by one. */
export function bucketOf({ interval, span }: Wish): string {
  return interval === 'auto' ? autoInterval(span.to - span.from) : interval;
}

async function points(wish: Wish): Promise<Loaded | undefined> {
  const { id, keys, span, tz } = wish;
  const series = await askPast({
    device_ids: [id],
    keys,
    from: String(span.from),
    to: String(span.to),
    tz,
    limit: MOST_POINTS,
  });
  if (series.some((one) => one.more)) return undefined;
  return {
    courses: series.map(({ key, points }) => ({ key, points: points as { t: number; value: Json }[] })),
  };
}

/** Loads what is wished for. */
export async function load(wish: Wish): Promise<Loaded> {
  if (!wish.keys.length) return { courses: [] };
  if (wish.aggregate === 'auto' && wish.interval === 'auto') {
    const raw = await points(wish);
    if (raw) return raw;
  }
  const interval = bucketOf(wish);
  const agg = wish.aggregate === 'auto' ? 'mean' : wish.aggregate;
  const courses = await buckets(wish, wish.keys, interval, agg);
  // A text has no mean: of such keys the last value of each bucket tells more than nothing.
  const bare =
    wish.aggregate === 'auto' ? courses.filter((course) => !course.points.length).map((course) => course.key) : [];
  const lasts = bare.length ? await buckets(wish, bare, interval, 'last') : [];
  return {
    bucket: intervalMs(interval),
    courses: courses.map((course) => lasts.find((last) => last.key === course.key) ?? course),
  };
}

async function buckets({ id, span, tz }: Wish, keys: string[], interval: string, agg: string): Promise<Course[]> {
  const series = await askPast({
    device_ids: [id],
    keys,
    from: String(span.from),
    to: String(span.to),
    tz,
    interval,
    agg: [agg],
  });
  return series.map(({ key, points }) => ({
    key,
    points: (points as ({ t: number } & Record<string, Json>)[]).flatMap((point) => {
      const value = point[agg];
      return value === null || value === undefined ? [] : [{ t: point.t, value }];
    }),
  }));
}

/** The address of the same span as a file, every point of it. */
export function exportHref(wish: Wish, format: 'csv' | 'ndjson'): string {
  const query = new URLSearchParams({
    format,
    device_id: wish.id,
    key: wish.keys.join(','),
    from: new Date(wish.span.from).toISOString(),
    to: new Date(wish.span.to).toISOString(),
  });
  return `/telemetry/export?${query.toString()}`;
}
