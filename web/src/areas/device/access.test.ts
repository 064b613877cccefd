import { expect, it } from 'vitest';
import type { Device, User } from '$/api/client';
import { may } from './access';

const device = (role: string) => ({ role }) as Device;
const user = (role: string, is_admin = false) => ({ role, is_admin }) as User;
const flags = (role: string, who = user('member')) => {
  const { control, manage, own } = may(device(role), who);
  return [control, manage, own];
};

it('gives each role what the server gives it', () => {
  expect(flags('viewer')).toEqual([false, false, false]);
  expect(flags('member')).toEqual([true, false, false]);
  expect(flags('admin')).toEqual([true, true, false]);
  expect(flags('owner')).toEqual([true, true, true]);
});

it('lets admins of the installation own, and its viewers only look', () => {
  expect(flags('admin', user('admin', true))).toEqual([true, true, true]);
  expect(flags('owner', user('viewer'))).toEqual([false, false, false]);
});
