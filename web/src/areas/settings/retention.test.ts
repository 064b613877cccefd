import { expect, test } from 'vitest';
import { problems, rulesOf } from './retention';

test('rules that are right have no problems', () => {
  const rows = [
    { id: 1, key: '*', days: '365' },
    { id: 2, key: ' power ', days: '30' },
  ];
  expect(problems(rows)).toEqual({});
  expect(rulesOf(rows)).toEqual([
    { key: '*', keep_days: 365 },
    { key: 'power', keep_days: 30 },
  ]);
});

test('each mistake stands at its row', () => {
  const rows = [
    { id: 1, key: 'a', days: '0' },
    { id: 2, key: 'a', days: '1.5' },
    { id: 3, key: '', days: '36501' },
  ];
  const found = problems(rows);
  expect(Object.keys(found)).toEqual(['1', '2', '3']);
  expect(found[1]?.key).toBeUndefined();
  expect(found[2]?.key).toContain('already');
});
