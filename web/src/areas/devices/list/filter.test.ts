import { describe, expect, it } from 'vitest';
import type { Device } from '$/api/client';
import { choices, fits, narrows, NO_GROUP, readFilter, sorted, statusOf } from './filter';

const NOW = Date.parse('2026-03-01T12:00:00Z');

function device(change: Partial<Device>): Device {
  return {
    _id: 'x',
    id: 'x',
    user_id: 'u',
    name: 'Device',
    status: 'online',
    online: true,
    last_active: '2026-03-01T11:59:59Z',
    device_token: '***',
    tags: [],
    groups: [],
    aliases: [],
    role: 'owner',
    unclaimed: false,
    created_at: '2026-01-01T00:00:00Z',
    ...change,
  };
}
const filter = (query: string) => readFilter(new URLSearchParams(query));

describe('the filter of the devices', () => {
  it('takes every word, anywhere, in any case', () => {
    const lamp = device({ name: 'Desk Lamp', location: 'Office', tags: ['light'] });
    expect(fits(lamp, filter('q=lamp+OFFICE'))).toBe(true);
    expect(fits(lamp, filter('q=lamp+cellar'))).toBe(false);
  });

  it('finds an id by its begin, and takes no short number for a part of one', () => {
    const node = device({ name: 'Node 7', id: '6b01245b0028859bc3d1ed4b' });
    expect(fits(node, filter('q=6b0124'))).toBe(true);
    expect(fits(node, filter('q=node+012'))).toBe(false);
  });

  it('knows devices without a group', () => {
    const alone = device({});
    const grouped = device({ groups: ['a'] });
    const query = filter(new URLSearchParams({ group: NO_GROUP }).toString());
    expect([fits(alone, query), fits(grouped, query)]).toEqual([true, false]);
    expect([fits(alone, filter('group=a')), fits(grouped, filter('group=a'))]).toEqual([false, true]);
  });

  it('leaves what it does not know alone', () => {
    const found = filter('status=burning&sort=weight');
    expect([found.status, found.sort, narrows(found)]).toEqual(['', 'name', false]);
    expect(narrows(filter('status=late'))).toBe(true);
  });

  it('tells late from online by the expected interval', () => {
    const slow = device({ expected_interval_seconds: 600, last_active: '2026-03-01T11:50:00Z' });
    const quick = device({ expected_interval_seconds: 5, last_active: '2026-03-01T11:50:00Z' });
    expect([statusOf(slow, NOW), statusOf(quick, NOW)]).toEqual(['online', 'late']);
    expect(statusOf(device({ online: false, last_active: null }), NOW)).toBe('offline');
    expect(statusOf(device({ unclaimed: true }), NOW)).toBe('unclaimed');
  });

  it('sorts numbers in names as numbers and puts empty places last both ways', () => {
    const list = ['Board 10', 'Board 9', 'board 1'].map((name) => ({ info: device({ name, id: name }) }));
    expect(sorted(list, filter(''), NOW).map((one) => one.info.name)).toEqual(['board 1', 'Board 9', 'Board 10']);
    const placed = [{ info: device({ name: 'a' }) }, { info: device({ name: 'b', location: 'Attic' }) }];
    for (const query of ['sort=location', 'sort=location&dir=desc']) {
      expect(sorted(placed, filter(query), NOW)[0]?.info.name).toBe('b');
    }
  });

  it('offers each tag once', () => {
    expect(choices([device({ tags: ['b', 'a'] }), device({ tags: ['a'] })]).tags).toEqual(['a', 'b']);
  });
});
