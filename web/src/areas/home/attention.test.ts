import { expect, test } from 'vitest';
import type { Device, KeyState, Notice } from '$/api/client';
import { attention, overview, type Known } from './attention';

const NOW = Date.parse('2026-11-21T12:00:00Z');
const seconds = (n: number) => new Date(NOW - n * 1000).toISOString();

function device(id: string, info: Partial<Device> = {}, rest: Partial<Known> = {}): Known {
  const whole = {
    id,
    name: `Board ${id}`,
    online: true,
    last_active: seconds(1),
    expected_interval_seconds: 5,
    ...info,
  };
  return { id, info: whole as Device, values: {}, states: {}, ...rest };
}
const notice = (more: Partial<Notice>): Notice =>
  ({
    id: 'n',
    created_at: seconds(5),
    title: 'T',
    message: 'M',
    type: 'warning',
    read: false,
    details: null,
    ...more,
  }) as Notice;

test('a fleet that is well needs nobody', () => {
  expect(attention([device('a'), device('b', { online: false, last_active: null })], [], [], NOW)).toEqual([]);
});

test('the most urgent comes first', () => {
  const devices = [
    device('late', { last_active: seconds(60) }),
    device('empty', {}, { values: { battery: { value: 12, at: NOW } } }),
    device('away', { online: false, last_active: seconds(7200) }),
    device('stuck', {}, { states: { relay1: { status: 'expired' } as KeyState } }),
  ];
  const found = attention(devices, [notice({ type: 'error' })], [], NOW);
  expect(found.map((a) => a.group)).toEqual(['failed', 'offline', 'late', 'battery', 'notice']);
  expect(found[1]?.text).toBe('Not heard of for 2 h.');
});

test('of many that went away the last one comes first', () => {
  const away = (id: string, ago: number) => device(id, { online: false, last_active: seconds(ago) });
  const found = attention([away('a', 900), away('b', 60), away('c', 300)], [], [], NOW);
  expect(found.map((a) => a.title)).toEqual(['Board b', 'Board c', 'Board a']);
});

test('read notices, good news and what a device says itself are left out', () => {
  const list = [
    notice({ read: true }),
    notice({ type: 'success' }),
    notice({ details: { status: 'offline' } }),
    notice({ id: 'low', device_id: 'd' }),
  ];
  const found = attention([], list, [], NOW);
  expect(found.map((a) => [a.notice, a.href])).toEqual([['low', '/ui/devices/d']]);
});

test('a failed command names its device; one of a device that is gone is forgotten', () => {
  const failed = { id: 'c1', kind: 'failed' as const, device: 'a', text: 'reboot failed.', at: NOW, command: true };
  expect(attention([device('a')], [], [failed], NOW)[0]).toMatchObject({ title: 'Board a', text: 'reboot failed.' });
  expect(attention([], [], [failed], NOW)).toEqual([]);
});

test('devices are counted by state', () => {
  const devices = [
    device('a'),
    device('b', { last_active: seconds(60) }),
    device('c', { online: false }),
    device('d', { online: false, last_active: null }),
    device('e', { unclaimed: true }),
  ];
  expect(overview(devices, NOW)).toEqual({ total: 5, online: 1, late: 1, offline: 1, waiting: 2 });
});
