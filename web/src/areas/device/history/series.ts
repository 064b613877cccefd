// What was measured, as the columns of a chart and the rows of a table.

import type { Json } from '$/api/client';
import type { Columns } from '$/ui/chart';

export interface Course {
  key: string;
  /** Oldest first. */
  points: { t: number; value: Json }[];
}
export interface Loaded {
  courses: Course[];
  /** The length of a bucket, ms; nothing when these are the points as they were reported. */
  bucket?: number;
}

/** A point as a number for a chart: switches are 0 and 1, texts have no place in it. */
export function height(value: Json): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'boolean' ? Number(value) : undefined;
}

/** After how many usual distances without a point the line is broken. */
const BREAK = 5;

/** The distance of points after which nothing is known in between, ms. */
export function breakAfter(points: { t: number }[], interval: number, bucket?: number): number {
  if (bucket) return bucket * 1.5;
  const gaps = points.slice(1).map((point, i) => point.t - (points[i]?.t ?? 0));
  gaps.sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? interval;
  return Math.max(usual * BREAK, interval * 2.5);
}

/**
 * Times in seconds and a column per course. Where one course has no point of its own it has `undefined`, which the
 * line passes; where nothing was reported for long it has `null`, which breaks it.
 */
export function columnsOf(loaded: Loaded, interval: number): Columns {
  const marks = loaded.courses.map(({ points }) => {
    const found = new Map<number, number | null>();
    const limit = breakAfter(points, interval, loaded.bucket);
    let last: number | undefined;
    for (const { t, value } of points) {
      const y = height(value);
      if (y === undefined) continue;
      if (last !== undefined && t - last > limit) found.set(last + 1, null);
      found.set(t, y);
      last = t;
    }
    return found;
  });
  const times = [...new Set(marks.flatMap((found) => [...found.keys()]))].sort((a, b) => a - b);
  return [times.map((t) => t / 1000), ...marks.map((found) => times.map((t) => found.get(t)))] as Columns;
}

export interface Row {
  t: number;
  values: (Json | undefined)[];
}

/** The same as rows, newest first. */
export function rowsOf({ courses }: Loaded): Row[] {
  const rows = new Map<number, Row>();
  courses.forEach(({ points }, i) => {
    for (const { t, value } of points) {
      let row = rows.get(t);
      if (!row) rows.set(t, (row = { t, values: courses.map(() => undefined) }));
      row.values[i] = value;
    }
  });
  return [...rows.values()].sort((a, b) => b.t - a.t);
}

export interface Facts {
  count: number;
  min: number;
  mean: number;
  max: number;
  last: Json;
}

/** What can be said of a course in a line; nothing when it has no numbers. */
export function factsOf({ points }: Course): Facts | undefined {
  let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (const { value } of points) {
    const y = height(value);
    if (y === undefined) continue;
    count++;
    sum += y;
    min = Math.min(min, y);
    max = Math.max(max, y);
  }
  const last = points[points.length - 1]?.value;
  return count && last !== undefined ? { count, min, mean: sum / count, max, last } : undefined;
}

/** Continues courses with values that were just reported, and lets go of what is older than `from`. */
export function extended(loaded: Loaded, data: Readonly<Record<string, Json>>, at: number, from: number): Loaded {
  let changed = false;
  const courses = loaded.courses.map((course) => {
    const value = data[course.key];
    const last = course.points[course.points.length - 1]?.t ?? 0;
    if (value === undefined || at <= last) return course;
    changed = true;
    const first = course.points.findIndex((point) => point.t >= from);
    return { ...course, points: [...(first > 0 ? course.points.slice(first) : course.points), { t: at, value }] };
  });
  return changed ? { ...loaded, courses } : loaded;
}
