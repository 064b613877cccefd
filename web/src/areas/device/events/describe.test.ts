import { expect, it } from 'vitest';
import type { DeviceEvent } from '$/api/client';
import { dayOf, describe as told } from './describe';

const event = (kind: string, detail: unknown): DeviceEvent =>
  ({ id: 1, at: '', at_ms: 0, kind, detail }) as unknown as DeviceEvent;

it('says what happened and who did it', () => {
  expect(told(event('offline', { silent_ms: 15_000 }))).toMatchObject({
    title: 'Went offline',
    more: 'silent for 15 s',
  });
  expect(told(event('shared', { with: 'ann', role: 'viewer', by: 'bob' })).more).toBe('with ann as viewer by bob');
  expect(told(event('changed', { tags: ['a', 'b'], location: null, by: 'bob' })).more).toBe(
    'tags: a, b; location: none by bob',
  );
});

it('shows what it does not know', () => {
  expect(told(event('ota_started', { version: '1.2' }))).toEqual({
    title: 'Ota started',
    more: 'version: 1.2',
    tone: 'plain',
  });
  expect(told(event('odd', null)).more).toBe('');
});

it('names days', () => {
  const now = new Date(2026, 2, 1, 12).getTime();
  expect([dayOf(now, now), dayOf(now - 86_400_000, now)]).toEqual(['Today', 'Yesterday']);
});
