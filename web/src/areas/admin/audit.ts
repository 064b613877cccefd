// Records of the audit log as sentences. Pure; an action that is not known is told as it is.

import type { Schemas } from '$/api/client';
import { count } from '$/util/format';

export type Entry = Schemas['Entry'];
type Detail = Record<string, unknown>;

/** The actions that can be filtered for, by what they concern. */
export const ACTIONS: { label: string; actions: [string, string][] }[] = [
  {
    label: 'Accounts',
    actions: [
      ['account.signup', 'Signed up'],
      ['account.update', 'Changed own account'],
      ['account.password', 'Password by link'],
      ['account.delete', 'Deleted own account'],
      ['session.end', 'Ended a session'],
      ['api-key.create', 'Created an API key'],
      ['api-key.delete', 'Revoked an API key'],
    ],
  },
  {
    label: 'Administration',
    actions: [
      ['user.create', 'Created an account'],
      ['user.update', 'Changed an account'],
      ['user.reset-link', 'Made a password link'],
      ['user.delete', 'Deleted an account'],
      ['invite.create', 'Invited'],
      ['invite.delete', 'Withdrew an invitation'],
      ['rules.save', 'Saved security rules'],
      ['settings.save', 'Saved platform settings'],
      ['backup', 'Downloaded a backup'],
      ['restore', 'Restored a backup'],
      ['setup.owner', 'Set up'],
    ],
  },
  {
    label: 'Devices',
    actions: [
      ['device.create', 'Created a device'],
      ['device.create_batch', 'Created many devices'],
      ['device.change', 'Changed a device'],
      ['device.delete', 'Deleted a device'],
      ['device.claim', 'Claimed a device'],
      ['device.claim_code', 'Made a claim code'],
      ['device.rotate_token', 'Made a new token'],
      ['device.share', 'Shared a device'],
      ['device.unshare', 'Ended a share'],
      ['device.transfer', 'Gave a device away'],
      ['device.status', 'Set a status by hand'],
      ['telemetry.delete', 'Removed values'],
      ['telemetry.retention', 'Changed retention'],
    ],
  },
  {
    label: 'Dashboards',
    actions: [
      ['dashboard.share', 'Shared a dashboard'],
      ['dashboard.unshare', 'Ended a shared link'],
      ['dashboard.delete', 'Deleted a dashboard'],
    ],
  },
];

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const quoted = (value: unknown, other: string): string => (text(value) ? `“${text(value)}”` : other);
const size = (value: unknown): number => (Array.isArray(value) ? value.length : 0);

function changes(detail: Detail): string {
  const parts = [];
  if (detail.is_active === false) parts.push('disabled it');
  if (detail.is_active === true) parts.push('enabled it');
  if (text(detail.role)) parts.push(`made it ${text(detail.role)}`);
  if (typeof detail.full_name === 'string') parts.push('changed the name');
  return parts.join(', ') || 'changed nothing';
}

const SAY: Record<string, (detail: Detail, entry: Entry) => string> = {
  'account.signup': (d) => `signed up${text(d.role) ? ` as ${text(d.role)}` : ''}.`,
  'account.update': (d) => {
    const names: Record<string, string> = {
      full_name: 'name',
      notification_settings: 'notification settings',
      email: 'e-mail',
    };
    const what = Array.isArray(d.changed) ? d.changed.map((name) => names[String(name)] ?? String(name)) : [];
    return what.length ? `changed their own ${what.join(', ')}.` : 'saved their account unchanged.';
  },
  'account.password': (d) =>
    `set a new password${text(d.by) ? ` by ${text(d.by) === 'one-time link' ? 'a one-time link' : text(d.by)}` : ''}.`,
  'account.delete': (d) => `deleted their own account ${quoted(d.username, '')}`.trim() + '.',
  'session.end': () => 'ended one of their sessions.',
  'api-key.create': (d) => `created the API key ${quoted(d.name, '')} for ${text(d.scopes).split(' ').join(', ')}.`,
  'api-key.delete': () => 'revoked an API key.',
  'user.create': (d) => `created the account ${quoted(d.username, '')} as ${text(d.role)}.`,
  'user.update': (d) => `changed an account: ${changes(d)}.`,
  'user.reset-link': () => 'made a link with which an account chooses a new password.',
  'user.delete': (d) => `deleted the account ${quoted(d.username, '')}${text(d.email) ? ` (${text(d.email)})` : ''}.`,
  'invite.create': (d) => `invited ${text(d.email) || 'whoever has the code'} as ${text(d.role)}.`,
  'invite.delete': () => 'withdrew an invitation.',
  'rules.save': (_, e) => `saved the security rules (${e.target}).`,
  'settings.save': () => 'saved the platform settings.',
  backup: () => 'downloaded a backup of everything.',
  restore: () => 'restored everything from a backup.',
  'setup.owner': (d) => `set up this installation as ${quoted(d.username, 'its owner')}.`,
  'device.create': (d) => `created the device ${quoted(d.name, '')}.`,
  'device.create_batch': (d) => `created ${count(Number(d.count) || 0, 'device')} at once.`,
  'device.change': (d, e) => {
    if (e.target === 'bulk') return `changed ${count(size(d.devices), 'device')} at once.`;
    const what = Object.keys(d);
    return what.length
      ? `changed a device: ${what.map((key) => key.replaceAll('_', ' ')).join(', ')}.`
      : 'changed a device.';
  },
  'device.delete': (d, e) =>
    e.target === 'bulk'
      ? `deleted ${count(size(d.devices), 'device')} at once.`
      : `deleted the device ${quoted(d.name, '')}.`,
  'device.claim': (d) => `claimed a device${d.token_rotated ? '; it has a new token' : ''}.`,
  'device.claim_code': () => 'made a code with which somebody can claim a device.',
  'device.rotate_token': () => 'gave a device a new token.',
  'device.share': (d) =>
    `shared a device with ${quoted(d.with, 'somebody')}${text(d.role) ? ` as ${text(d.role)}` : ''}.`,
  'device.unshare': (d) => `ended the share of a device with ${quoted(d.with, 'somebody')}.`,
  'device.transfer': (d) => `gave a device to ${quoted(d.to, 'somebody')}.`,
  'device.status': (d) => `set ${count(size(d.devices), 'device')} to ${text(d.status)} by hand.`,
  'telemetry.delete': (d) => `removed values${text(d.key) ? ` of ${quoted(d.key, '')}` : ''} of a device.`,
  'telemetry.retention': (d) => `changed how long values are kept (${count(size(d), 'rule')}).`,
  'dashboard.share': () => 'made a link to a dashboard.',
  'dashboard.unshare': () => 'ended the link to a dashboard.',
  'dashboard.delete': () => 'deleted a dashboard.',
};

/** What was done, to be read after the name of who did it. */
export function sentence(entry: Entry): string {
  const say = SAY[entry.action];
  if (!say) return `did “${entry.action}” with ${entry.target}.`;
  return say(entry.detail ?? {}, entry)
    .replace(/ +/g, ' ')
    .replace(/ \./, '.');
}

/** Who did it; an account that is gone is told by its id. */
export function who(entry: Entry): string {
  return entry.username ?? `Account ${entry.account_id.slice(0, 8)}… (deleted)`;
}

/** Where the thing can be seen, when it can. */
export function linkOf(entry: Entry): string | undefined {
  const isId = /^[0-9a-f]{24}$/.test(entry.target);
  if (!isId || entry.action.endsWith('.delete')) return undefined;
  if (entry.action.startsWith('device.') || entry.action.startsWith('telemetry.')) return `/ui/devices/${entry.target}`;
  if (entry.action.startsWith('dashboard.')) return `/ui/dashboards/${entry.target}`;
  return undefined;
}
