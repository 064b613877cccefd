// The server's counters as the page shows them: read from the Prometheus text, rates from two readings. Pure.

/** Cumulative buckets: how many took at most `le` seconds. */
export interface Histogram {
  count: number;
  sum: number;
  buckets: { le: number; count: number }[];
}

export interface Reading {
  /** When it was read, ms since 1970. */
  at: number;
  /** Values by name with labels as they stand in the text (`x{a="b"}`). */
  values: Map<string, number>;
  /** Answer times by class of request. */
  latency: Map<string, Histogram>;
}

const DURATION = 'espalier_http_request_duration_seconds';
const LINE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)/i;

function labels(text: string | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [, name, value] of (text ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
    if (name) found[name] = value ?? '';
  return found;
}

/** Reads the text format. Lines that are not understood are left out. */
export function parse(text: string, at: number): Reading {
  const values = new Map<string, number>();
  const latency = new Map<string, Histogram>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, inside, number] = LINE.exec(line) ?? [];
    if (!name || number === undefined) continue;
    const value = number === '+Inf' ? Infinity : Number(number);
    if (Number.isNaN(value)) continue;
    if (name.startsWith(DURATION)) {
      const { class: of = 'all', le } = labels(inside);
      const histogram = latency.get(of) ?? { count: 0, sum: 0, buckets: [] };
      latency.set(of, histogram);
      if (name.endsWith('_bucket')) histogram.buckets.push({ le: le === '+Inf' ? Infinity : Number(le), count: value });
      else if (name.endsWith('_count')) histogram.count = value;
      else if (name.endsWith('_sum')) histogram.sum = value;
    } else {
      values.set(inside ? `${name}{${inside}}` : name, value);
    }
  }
  for (const { buckets } of latency.values()) buckets.sort((a, b) => a.le - b.le);
  return { at, values, latency };
}

/** The sum over all labels of a name, only those whose labels hold every given text. */
export function total(reading: Reading, name: string, ...holding: string[]): number {
  let sum = 0;
  for (const [key, value] of reading.values) {
    if ((key === name || key.startsWith(`${name}{`)) && holding.every((text) => key.includes(text))) sum += value;
  }
  return sum;
}

/** Per second between two readings; nothing when the server was started anew meanwhile. */
export function rate(before: Reading, after: Reading, name: string, ...holding: string[]): number | undefined {
  const more = total(after, name, ...holding) - total(before, name, ...holding);
  const seconds = (after.at - before.at) / 1000;
  return more >= 0 && seconds > 0 ? more / seconds : undefined;
}

/** What was added to a histogram since another reading of it; the whole one when it was started anew. */
export function since(before: Histogram | undefined, after: Histogram): Histogram {
  if (!before || after.count < before.count) return after;
  return {
    count: after.count - before.count,
    sum: after.sum - before.sum,
    buckets: after.buckets.map(({ le, count }, i) => ({ le, count: count - (before.buckets[i]?.count ?? 0) })),
  };
}

/** The time within which a share (0.5, 0.95) of the requests was answered, seconds: between the edges of its bucket. */
export function quantile({ count, buckets }: Histogram, share: number): number | undefined {
  if (count <= 0) return undefined;
  const wanted = count * share;
  let from = 0;
  let below = 0;
  for (const bucket of buckets) {
    if (bucket.count >= wanted) {
      if (!Number.isFinite(bucket.le)) return from;
      const inside = bucket.count - below;
      return from + (bucket.le - from) * (inside > 0 ? (wanted - below) / inside : 1);
    }
    from = Number.isFinite(bucket.le) ? bucket.le : from;
    below = bucket.count;
  }
  return from;
}
