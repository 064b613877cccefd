import { expect, it } from 'vitest';
import { visiblePart, WHOLE } from './window';

it('draws short lists whole', () => {
  expect(visiblePart(WHOLE, 50, -100, 800)).toEqual({ first: 0, end: WHOLE });
});

it('covers the screen wherever it is scrolled, and never leaves the list', () => {
  for (const top of [300, 0, -1, -777, -20_000, -49_500, -90_000]) {
    const { first, end } = visiblePart(1000, 50, top, 800);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(end).toBeLessThanOrEqual(1000);
    expect(end - first).toBeLessThan(50);
    const seen = Math.min(999, Math.max(0, Math.floor(-top / 50)));
    expect(first <= seen && seen < end).toBe(true);
  }
});
