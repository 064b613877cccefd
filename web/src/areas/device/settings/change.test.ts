import { expect, it } from 'vitest';
import type { Device } from '$/api/client';
import { errorsOf, formOf, patchOf } from './change';

const device = {
  name: 'Lamp',
  kind: 'lamp',
  location: null,
  tags: ['a'],
  groups: [],
  aliases: ['z', 'b'],
  expected_interval_seconds: 5,
} as unknown as Device;

it('changes nothing when nothing was changed', () => {
  expect(patchOf(formOf(device), device)).toEqual({});
  expect(errorsOf(formOf(device))).toEqual({});
});

it('names what differs, and takes away what was emptied', () => {
  const form = { ...formOf(device), name: ' Desk ', kind: ' ', tags: 'a, b', interval: '' };
  expect(patchOf(form, device)).toEqual({
    name: 'Desk',
    kind: null,
    tags: ['a', 'b'],
    expected_interval_seconds: null,
  });
});

it('says what is wrong under the field', () => {
  const errors = errorsOf({ ...formOf(device), name: ' ', aliases: 'two words', interval: '0' });
  expect(Object.keys(errors).sort()).toEqual(['aliases', 'interval', 'name']);
});
