import { describe, expect, it } from 'vitest';
import { arc, nice, point, portion, scaleOf, ticks } from './gauge';

describe('the scale of a gauge', () => {
  it('is what was set', () => {
    expect(scaleOf(5, 30, 99)).toEqual({ min: 5, max: 30 });
  });
  it('is round around the value when nothing was set', () => {
    expect(scaleOf(undefined, undefined, 21)).toEqual({ min: 0, max: 50 });
    expect(scaleOf(undefined, undefined, 471)).toEqual({ min: 0, max: 1000 });
    expect(scaleOf(undefined, undefined, -71)).toEqual({ min: -100, max: 0 });
    expect(scaleOf(undefined, undefined, undefined)).toEqual({ min: 0, max: 100 });
  });
  it('is never empty, even with one end beyond the value', () => {
    for (const [min, max, value] of [
      [50, undefined, 3],
      [undefined, -20, 5],
      [10, 10, 10],
      [undefined, 0, 0],
    ] as const) {
      const scale = scaleOf(min, max, value);
      expect(scale.max).toBeGreaterThan(scale.min);
    }
  });
});

it('keeps values beyond the scale at its ends', () => {
  expect(portion(-5, { min: 0, max: 10 })).toBe(0);
  expect(portion(15, { min: 0, max: 10 })).toBe(1);
  expect(portion(5, { min: 0, max: 10 })).toBe(0.5);
});

it('draws three quarters of a circle, open below', () => {
  expect(point(0.5, 10).y).toBeCloseTo(-10);
  expect(point(0, 10).y).toBeCloseTo(point(1, 10).y);
  expect(arc(0, 1, 10)).toContain(' 0 1 1 ');
  expect(arc(0, 0.5, 10)).toContain(' 0 0 1 ');
});

it('marks round numbers', () => {
  expect(nice(0.3)).toBeCloseTo(0.5);
  expect(ticks({ min: 5, max: 30 }).map((tick) => tick.value)).toEqual([5, 10, 15, 20, 25, 30]);
  expect(ticks({ min: 0, max: 0.3 }).map((tick) => tick.value)).toEqual([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]);
  expect(ticks({ min: -100, max: 0 }).map((tick) => tick.value)).toEqual([-100, -80, -60, -40, -20, 0]);
});
