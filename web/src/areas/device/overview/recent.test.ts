import { expect, it } from 'vitest';
import { joined } from './recent';

const MINUTE = 60_000;

it('shows what was heard while nothing is fetched', () => {
  const heard = [{ at: 1, value: 1 }];
  expect(joined(undefined, heard)).toBe(heard);
  expect(joined([], undefined)).toEqual([]);
});

it('goes on in means of a minute, and takes nothing twice', () => {
  const past = [
    { at: 0, value: 10 },
    { at: MINUTE, value: 20 },
  ];
  const heard = [
    { at: 30_000, value: 99 },
    { at: MINUTE + 1000, value: 30 },
    { at: 2 * MINUTE, value: 40 },
    { at: 2 * MINUTE + 1000, value: 50 },
  ];
  expect(joined(past, heard)).toEqual([
    { at: 0, value: 10 },
    { at: MINUTE, value: 25 },
    { at: 2 * MINUTE, value: 45 },
  ]);
});
