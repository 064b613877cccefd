import { expect, test } from 'vitest';
import { ACTIONS, linkOf, sentence, who, type Entry } from './audit';

const entry = (action: string, detail: unknown = {}, target = 't'): Entry =>
  ({
    id: '1',
    account_id: '01a1fbe6-7d8e',
    username: 'ada',
    action,
    target,
    detail,
    at: '2026-11-21T12:00:00Z',
  }) as Entry;

test('every action that can be filtered for has a sentence, whatever its details', () => {
  for (const [action] of ACTIONS.flatMap((group) => group.actions)) {
    for (const detail of [{}, null, { name: 7 }]) {
      const said = sentence(entry(action, detail));
      expect(said).toMatch(/^[a-z].*\.$/);
      expect(said).not.toContain('did “');
      expect(said).not.toMatch(/undefined|null|NaN| {2}/);
    }
  }
});

test('sentences name what matters', () => {
  expect(sentence(entry('user.update', { role: 'admin', is_active: false, full_name: null }))).toBe(
    'changed an account: disabled it, made it admin.',
  );
  expect(sentence(entry('device.change', { devices: ['a', 'b'] }, 'bulk'))).toBe('changed 2 devices at once.');
  expect(sentence(entry('device.create', { name: 'Lamp' }))).toBe('created the device “Lamp”.');
  expect(sentence(entry('future.thing'))).toBe('did “future.thing” with t.');
});

test('what still exists can be opened', () => {
  const id = '6b00ff9d2323f5270b297adc';
  expect(linkOf(entry('device.change', {}, id))).toBe(`/ui/devices/${id}`);
  expect(linkOf(entry('device.delete', {}, id))).toBeUndefined();
  expect(linkOf(entry('device.change', {}, 'bulk'))).toBeUndefined();
  expect(who({ ...entry('x'), username: null })).toBe('Account 01a1fbe6… (deleted)');
});
