import { expect, it } from 'vitest';
import { readRules, shortens } from './retention';

it('reads rules and says what is wrong', () => {
  expect(readRules([{ key: '*', days: ' 30 ' }])).toEqual({ rules: [{ key: '*', keep_days: 30 }] });
  for (const days of ['0', '1.5', '', 'x', '36501']) expect(readRules([{ key: '*', days }])).toHaveProperty('error');
  expect(
    readRules([
      { key: 'a', days: '1' },
      { key: 'a', days: '2' },
    ]),
  ).toHaveProperty('error');
});

it('asks whenever something might be removed', () => {
  const rule = (key: string, keep_days: number) => ({ key, keep_days });
  expect(shortens([rule('*', 30)], [rule('*', 60)])).toBe(false);
  expect(shortens([rule('*', 30)], [rule('*', 30)])).toBe(false);
  expect(shortens([rule('*', 60)], [rule('*', 30)])).toBe(true);
  expect(shortens([], [rule('*', 9000)])).toBe(true);
  expect(shortens([rule('*', 60)], [rule('*', 60), rule('a', 10)])).toBe(true);
  expect(shortens([rule('*', 60)], [rule('*', 60), rule('a', 90)])).toBe(false);
});
