// Spans of time, lengths of buckets, and clock times of a zone.

export interface Span {
  /** ms since 1970, inclusive. */
  from: number;
  /** Exclusive. */
  to: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const PRESETS: readonly { id: string; label: string; name: string; ms: number }[] = [
  { id: '15m', label: '15 min', name: 'Last 15 minutes', ms: 15 * MINUTE },
  { id: '1h', label: '1 h', name: 'Last hour', ms: HOUR },
  { id: '6h', label: '6 h', name: 'Last 6 hours', ms: 6 * HOUR },
  { id: '24h', label: '24 h', name: 'Last 24 hours', ms: DAY },
  { id: '7d', label: '7 d', name: 'Last 7 days', ms: 7 * DAY },
  { id: '30d', label: '30 d', name: 'Last 30 days', ms: 30 * DAY },
  { id: '365d', label: '1 y', name: 'Last year', ms: 365 * DAY },
];

/** Lengths of buckets that people can count in. */
const STEPS: readonly { id: string; ms: number }[] = [
  { id: '1s', ms: 1000 },
  { id: '5s', ms: 5000 },
  { id: '10s', ms: 10_000 },
  { id: '30s', ms: 30_000 },
  { id: '1m', ms: MINUTE },
  { id: '5m', ms: 5 * MINUTE },
  { id: '15m', ms: 15 * MINUTE },
  { id: '30m', ms: 30 * MINUTE },
  { id: '1h', ms: HOUR },
  { id: '3h', ms: 3 * HOUR },
  { id: '6h', ms: 6 * HOUR },
  { id: '1d', ms: DAY },
  { id: '1w', ms: 7 * DAY },
];
/** What can be chosen by hand. */
export const INTERVALS: Readonly<Record<string, string>> = {
  '10s': '10 seconds',
  '1m': '1 minute',
  '5m': '5 minutes',
  '15m': '15 minutes',
  '1h': '1 hour',
  '6h': '6 hours',
  '1d': '1 day',
  '1w': '1 week',
  '1mo': '1 month',
};
/** More buckets than these are finer than a screen shows. */
const MOST_BUCKETS = 400;

/** The length of an interval, ms; of a month about. */
export function intervalMs(id: string): number {
  return STEPS.find((step) => step.id === id)?.ms ?? 30 * DAY;
}

/** The shortest countable interval that divides a span into few enough buckets. */
export function autoInterval(span: number): string {
  return STEPS.find((step) => span / step.ms <= MOST_BUCKETS)?.id ?? '1mo';
}

/** Not shorter than this can be zoomed into, ms. */
export const SHORTEST = 2000;
const OLDEST = Date.UTC(2000, 0);

/** A span that can be asked for: not too short, not before the year 2000, not wholly in the future. */
export function clamp({ from, to }: Span, now: number): Span {
  const width = Math.min(Math.max(to - from, SHORTEST), now - OLDEST);
  const middle = (from + to) / 2;
  let start = Math.round(middle - width / 2);
  if (start + width > now + width / 2) start = Math.round(now - width / 2);
  return { from: Math.max(OLDEST, start), to: Math.max(OLDEST, start) + Math.round(width) };
}

const formats = new Map<string, Intl.DateTimeFormat>();
function parts(tz: string): Intl.DateTimeFormat {
  let format = formats.get(tz);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: tz,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(tz, format);
  }
  return format;
}

/** The clock of a zone as `2026-03-01T13:05:09`. */
export function clockText(at: number, tz: string): string {
  const found = Object.fromEntries(
    parts(tz)
      .formatToParts(at)
      .map((part) => [part.type, part.value]),
  );
  return `${found.year}-${found.month}-${found.day}T${found.hour}:${found.minute}:${found.second}`;
}

/** The moment at which the clock of a zone shows a time; in the hour that comes twice the first one. */
export function momentOf(text: string, tz: string): number | undefined {
  const wanted = Date.parse(`${text.length === 16 ? `${text}:00` : text}Z`);
  if (!Number.isFinite(wanted)) return undefined;
  let at = wanted;
  // The offset at the guess is almost always the offset at the answer; around a change of clocks it needs a second look.
  for (let i = 0; i < 3; i++) {
    const off = Date.parse(`${clockText(at, tz)}Z`) - wanted;
    if (off === 0) break;
    at -= off;
  }
  return at;
}

/** The zones to choose from, the browser's first. */
export function zones(): string[] {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set([own, 'UTC', ...Intl.supportedValuesOf('timeZone')])];
}

/** Whether a zone exists. */
export function isZone(tz: string): boolean {
  try {
    parts(tz);
    return true;
  } catch {
    return false;
  }
}
