import { describe, expect, it } from 'vitest';
import { columnsOf, extended, factsOf, rowsOf, type Loaded } from './series';

const course = (key: string, ...points: [number, unknown][]) => ({
  key,
  points: points.map(([t, value]) => ({ t, value: value as never })),
});

describe('columns', () => {
  it('let each course pass the times of the others', () => {
    const loaded: Loaded = { courses: [course('a', [1000, 1], [3000, 3]), course('b', [2000, 2])] };
    expect(columnsOf(loaded, 60_000)).toEqual([
      [1, 2, 3],
      [1, undefined, 3],
      [undefined, 2, undefined],
    ]);
  });

  it('break the line where nothing was reported for long, and never invent a point', () => {
    const points: [number, number][] = [0, 1, 2, 3, 60, 61].map((s) => [s * 1000, s]);
    const [times, values] = columnsOf({ courses: [course('a', ...points)] }, 1000);
    expect(times).toEqual([0, 1, 2, 3, 3.001, 60, 61]);
    expect(values).toEqual([0, 1, 2, 3, null, 60, 61]);
  });

  it('draw switches and leave texts out', () => {
    const loaded: Loaded = { courses: [course('a', [1000, true], [2000, 'x'], [3000, false])] };
    expect(columnsOf(loaded, 60_000)).toEqual([
      [1, 3],
      [1, 0],
    ]);
  });
});

it('rows hold everything, texts too, newest first', () => {
  const rows = rowsOf({ courses: [course('a', [1, 1]), course('b', [1, 'x'], [2, 'y'])] });
  expect(rows).toEqual([
    { t: 2, values: [undefined, 'y'] },
    { t: 1, values: [1, 'x'] },
  ]);
});

it('facts are of numbers', () => {
  expect(factsOf(course('a', [1, 1], [2, 3]))).toEqual({ count: 2, min: 1, mean: 2, max: 3, last: 3 });
  expect(factsOf(course('a', [1, 'x']))).toBeUndefined();
});

it('continues with news only, once', () => {
  const loaded: Loaded = { courses: [course('a', [1000, 1], [2000, 2])] };
  const next = extended(loaded, { a: 3, other: 1 }, 3000, 1500);
  expect(next.courses[0]?.points.map((point) => point.t)).toEqual([2000, 3000]);
  expect(extended(next, { a: 3 }, 3000, 0)).toBe(next);
});
