import { expect, test } from 'vitest';
import type { Notice } from '$/api/client';
import { lines, severity } from './events';
import type { Happening } from './recent.svelte';

const T = Date.parse('2026-11-21T12:00:00Z');
const notice = (id: string, at: number, more: Partial<Notice> = {}): Notice =>
  ({
    id,
    title: 'T',
    message: 'M',
    type: 'info',
    details: null,
    created_at: new Date(at).toISOString(),
    ...more,
  }) as Notice;
const change = (id: string, at: number, kind: Happening['kind']): Happening => ({
  id,
  kind,
  device: 'd',
  text: 'x',
  at,
});

test('the newest comes first, and no more than asked for', () => {
  const list = lines([notice('a', T), notice('b', T - 2000)], [change('c', T - 1000, 'done')], () => 'Lamp', 2);
  expect(list.map((l) => l.id)).toEqual(['a', 'c']);
});

test('a change that is in the inbox is told once', () => {
  const offline = notice('a', T, { device_id: 'd', details: { status: 'offline' } });
  const list = lines([offline], [change('c', T + 900, 'offline'), change('e', T + 2000, 'online')], () => 'Lamp', 9);
  expect(list.map((l) => l.id)).toEqual(['e', 'a']);
});

test('what a deleted device did is not told', () => {
  expect(lines([], [change('c', T, 'online')], () => undefined, 9)).toEqual([]);
});

test('an unknown severity is a plain notice', () => {
  expect(severity(notice('a', T, { type: 'strange' }))).toEqual({ kind: 'idle', word: 'Notice' });
});
