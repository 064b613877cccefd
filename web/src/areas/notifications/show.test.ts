import { expect, test } from 'vitest';
import type { Notice } from '$/api/client';
import { byDay, isShow, placeOf, shown } from './show';

const notice = (id: string, more: Partial<Notice> = {}): Notice =>
  ({ id, type: 'info', read: false, created_at: '2026-11-21T12:00:00Z', ...more }) as Notice;

test('filters and hides', () => {
  const list = [
    notice('a', { read: true }),
    notice('b', { type: 'error' }),
    notice('c', { type: 'warning', read: true }),
  ];
  const ids = (show: 'all' | 'unread' | 'important', hidden: string[] = []) =>
    shown(list, show, new Set(hidden)).map((n) => n.id);
  expect(ids('all')).toEqual(['a', 'b', 'c']);
  expect(ids('unread')).toEqual(['b']);
  expect(ids('important', ['b'])).toEqual(['c']);
  expect([isShow('unread'), isShow('x'), isShow(null)]).toEqual([true, false, false]);
});

test('days have names', () => {
  const now = new Date(2026, 10, 21, 12).getTime();
  const at = (day: number) => new Date(2026, 10, day, 9).toISOString();
  const list = [
    notice('a', { created_at: at(21) }),
    notice('b', { created_at: at(21) }),
    notice('c', { created_at: at(20) }),
    notice('d', { created_at: at(2) }),
  ];
  const days = byDay(list, now);
  expect(days.map((d) => d.notices.length)).toEqual([2, 1, 1]);
  expect(days.slice(0, 2).map((d) => d.day)).toEqual(['Today', 'Yesterday']);
});

test('a notification leads to what it is about', () => {
  expect(placeOf(notice('a', { details: { rollout_id: 'r1' } }))).toBe('/ui/firmware/rollouts/r1');
  expect(placeOf(notice('b', { device_id: 'd1' }))).toBe('/ui/devices/d1');
  expect(placeOf(notice('c'))).toBe('/ui/notifications');
});
