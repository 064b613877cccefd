import { describe, expect, it } from 'vitest';
import { arrange, COLUMNS, compact, layoutItems, nudge, sameLayout, samePlaces, shift, type Placed } from './layout';

const overlaps = (places: Placed[]): boolean =>
  places.some((a, i) =>
    places.slice(i + 1).some((b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h),
  );
const at = (places: Placed[], id: string): Placed => places.find((place) => place.id === id)!;

describe('arrange', () => {
  it('gives widgets without a place the next free one in their order', () => {
    const places = arrange([
      { id: 'b', type: 'gauge', order: 1 },
      { id: 'a', type: 'chart', order: 0 },
      { id: 'c', type: 'switch', order: 2 },
    ]);
    expect(places.map((p) => [p.id, p.x, p.y])).toEqual([
      ['a', 0, 0],
      ['b', 6, 0],
      ['c', 9, 0],
    ]);
  });

  it('keeps stored places and floats up what hangs', () => {
    const places = arrange([
      { id: 'a', type: 'telemetry', order: 0, x: 0, y: 0, width: 3, height: 2 },
      { id: 'b', type: 'telemetry', order: 1, x: 0, y: 9, width: 3, height: 2 },
    ]);
    expect(at(places, 'b').y).toBe(2);
  });

  it('takes other units for no place', () => {
    const places = arrange([{ id: 'a', type: 'telemetry', order: 0, x: 0, y: 0, width: 320, height: 180 }]);
    expect(places[0]).toEqual({ id: 'a', x: 0, y: 0, w: 3, h: 2 });
  });

  it('never overlaps, whatever is stored', () => {
    let seed = 7;
    const random = (most: number): number => (seed = (seed * 48271) % 2147483647) % most;
    for (let round = 0; round < 50; round++) {
      const widgets = Array.from({ length: 20 }, (_, i) => ({
        id: String(i),
        type: 'telemetry' as const,
        order: i,
        x: random(COLUMNS),
        y: random(10),
        width: 1 + random(8),
        height: 1 + random(4),
      }));
      const places = arrange(widgets);
      expect(places).toHaveLength(20);
      expect(overlaps(places)).toBe(false);
      expect(places.every((p) => p.x >= 0 && p.x + p.w <= COLUMNS)).toBe(true);
      expect(compact(places)).toEqual(places);
    }
  });
});

describe('nudge', () => {
  const two: Placed[] = [
    { id: 'a', x: 0, y: 0, w: 3, h: 2 },
    { id: 'b', x: 0, y: 2, w: 3, h: 2 },
  ];
  it('swaps downwards and upwards', () => {
    const down = nudge(two, 'a', 'down');
    expect([at(down, 'a').y, at(down, 'b').y]).toEqual([2, 0]);
    const up = nudge(down, 'a', 'up');
    expect([at(up, 'a').y, at(up, 'b').y]).toEqual([0, 2]);
  });
  it('stays within the grid and its smallest size', () => {
    expect(nudge(two, 'a', 'left')).toEqual(two);
    expect(nudge(two, 'b', 'down')).toEqual(two);
    expect(nudge(two, 'a', 'narrower', { w: 3, h: 1 })).toEqual(two);
  });
  it('pushes what is in the way below', () => {
    const places = nudge([...two, { id: 'c', x: 3, y: 0, w: 3, h: 2 }], 'a', 'wider');
    expect(at(places, 'a')).toMatchObject({ x: 0, y: 0, w: 4 });
    expect(overlaps(places)).toBe(false);
    expect(at(places, 'c').y).toBeGreaterThanOrEqual(2);
  });
});

it('exchanges neighbours of one column and leaves the grid alone', () => {
  const places: Placed[] = [
    { id: 'a', x: 0, y: 0, w: 6, h: 3 },
    { id: 'b', x: 6, y: 0, w: 3, h: 3 },
    { id: 'c', x: 9, y: 0, w: 3, h: 2 },
  ];
  const ids = (list: Placed[]): string => list.map((place) => place.id).join('');
  expect(ids(shift(places, 'c', 'up'))).toBe('acb');
  expect(ids(shift(places, 'a', 'down'))).toBe('bac');
  expect(ids(shift(places, 'a', 'up'))).toBe('abc');
  expect(samePlaces(shift(places, 'b', 'down'), places)).toBe(true);
  expect(sameLayout(shift(places, 'b', 'down'), places)).toBe(false);
});

it('tells the server where everything stands, and the order', () => {
  expect(
    layoutItems([
      { id: 'b', x: 3, y: 0, w: 3, h: 2 },
      { id: 'a', x: 0, y: 0, w: 3, h: 2 },
    ]),
  ).toEqual([
    { id: 'b', x: 3, y: 0, width: 3, height: 2, order: 0 },
    { id: 'a', x: 0, y: 0, width: 3, height: 2, order: 1 },
  ]);
});
