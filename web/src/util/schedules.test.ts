import { expect, it } from 'vitest';
import type { Json } from '$/api/client';
import { meaning } from './switches';

it('tells schedules in words', () => {
  const list: Json = [
    { key: 'v0', every: 300, value: true },
    { key: 'relay1', at: '07:30', days: '1-5', value: 0 },
    { key: 'brightness', at: '22:00:15', days: '6,0', value: 40 },
    { key: 'v1', every: 7, value: 1 },
  ];
  expect(meaning('schedules', list)).toBe(
    'every 5 min: V0 On; 07:30 Mon–Fri: Relay1 Off; 22:00:15 Sat, Sun: Brightness 40; every 7 s: V1 On',
  );
  expect(meaning('schedules', [])).toBe('None');
});

it('leaves other lists as they are', () => {
  const others: Json[] = [[1], [{ key: 'v0', at: 7, value: 1 }], [{ at: '07:30' }], { every: 1 }];
  for (const other of others) {
    expect(meaning('schedules', other)).toBe(JSON.stringify(other));
  }
  expect(meaning('list', [])).toBe('[]');
});
