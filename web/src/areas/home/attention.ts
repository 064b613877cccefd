// What a person should look at, the most urgent first: pure, from what the page knows anyway.

import type { Notice } from '$/api/client';
import { placeOf } from '$/areas/notifications/show';
import type { LiveDevice } from '$/live/fleet.svelte';
import { deviceState, type StateKind } from '$/ui/states';
import { duration, valueText } from '$/util/format';
import { keyLabel } from '$/util/keys';
import { refusal } from '$/util/refusal';
import type { Happening } from './recent.svelte';

/** A battery below this says so, percent; the server sends a warning of its own when it is nearly empty. */
const LOW_BATTERY = 20;

export interface Attention {
  /** Stable while it is the same thing. */
  id: string;
  group: 'failed' | 'offline' | 'late' | 'battery' | 'notice';
  kind: StateKind;
  /** The word of the state. */
  state: string;
  title: string;
  text: string;
  href: string;
  /** Since when, ms since 1970: of one group the newest comes first. */
  at: number;
  /** The unread notification behind it. */
  notice?: string;
  /** What the socket told, behind it. */
  happening?: string;
}

/** What of a device the page needs; a `LiveDevice` has it. */
export type Known = Pick<LiveDevice, 'id' | 'info' | 'values' | 'states'>;

const ORDER: Attention['group'][] = ['failed', 'offline', 'late', 'battery', 'notice'];

function ofDevice(device: Known, now: number): Attention[] {
  const { info } = device;
  const found: Attention[] = [];
  const last = info.last_active ? Date.parse(info.last_active) : 0;
  const base = { title: info.name, href: `/ui/devices/${device.id}`, at: last };
  const state = deviceState(info, now);
  const seen = last ? Math.max(0, now - last) / 1000 : 0;
  // One unit is enough here: a sentence that counts seconds would never rest.
  const quiet = duration(seen < 60 ? seen : Math.floor(seen / 60) * 60);
  if (state.kind === 'offline') {
    const text = `Not heard of for ${quiet}.`;
    found.push({ ...base, id: `offline ${device.id}`, group: 'offline', kind: 'offline', state: 'Offline', text });
  } else if (state.kind === 'stale') {
    const text = `Connected, but nothing came for ${quiet}.`;
    found.push({ ...base, id: `late ${device.id}`, group: 'late', kind: 'stale', state: 'Late', text });
  }
  const battery = device.values.battery?.value;
  if (typeof battery === 'number' && battery <= LOW_BATTERY) {
    const text = `The battery is at ${valueText(battery, 0)} %.`;
    found.push({ ...base, id: `battery ${device.id}`, group: 'battery', kind: 'stale', state: 'Low battery', text });
  }
  for (const [key, wanted] of Object.entries(device.states)) {
    if (wanted.status !== 'expired' && wanted.status !== 'refused') continue;
    const text =
      wanted.status === 'refused'
        ? `${keyLabel(key)} was not set. ${refusal(wanted)}`
        : `${keyLabel(key)} was not set in time; the board never confirmed it.`;
    found.push({ ...base, id: `expired ${device.id} ${key}`, group: 'failed', kind: 'failed', state: 'Not set', text });
  }
  return found;
}

/** Everything that needs a person, the most urgent first. */
export function attention(
  devices: readonly Known[],
  notices: readonly Notice[],
  happenings: readonly Happening[],
  now: number,
): Attention[] {
  const found = devices.flatMap((device) => ofDevice(device, now));
  const known = new Map(devices.map((device) => [device.id, device]));
  for (const happening of happenings) {
    if (happening.kind !== 'failed' || !happening.command) continue;
    const device = known.get(happening.device);
    if (!device) continue;
    found.push({
      id: happening.id,
      group: 'failed',
      kind: 'failed',
      state: 'Failed',
      title: device.info.name,
      text: happening.text,
      href: `/ui/devices/${device.id}/control`,
      at: happening.at,
      happening: happening.id,
    });
  }
  for (const notice of notices) {
    if (notice.read || (notice.type !== 'warning' && notice.type !== 'error')) continue;
    // Whether a device is away is said by the device itself, and only while it is true.
    if (notice.details && 'status' in notice.details) continue;
    found.push({
      id: `notice ${notice.id}`,
      group: 'notice',
      kind: notice.type === 'error' ? 'failed' : 'stale',
      state: notice.type === 'error' ? 'Error' : 'Warning',
      title: notice.title,
      text: notice.message,
      href: placeOf(notice),
      at: Date.parse(notice.created_at),
      notice: notice.id,
    });
  }
  return found.sort((a, b) => ORDER.indexOf(a.group) - ORDER.indexOf(b.group) || b.at - a.at);
}

export interface Overview {
  total: number;
  online: number;
  late: number;
  offline: number;
  /** Unclaimed, or never heard of. */
  waiting: number;
}

/** How many devices are in which state. */
export function overview(devices: readonly Known[], now: number): Overview {
  const counts: Overview = { total: devices.length, online: 0, late: 0, offline: 0, waiting: 0 };
  for (const { info } of devices) {
    const { kind } = deviceState(info, now);
    if (kind === 'online') counts.online++;
    else if (kind === 'stale') counts.late++;
    else if (kind === 'offline') counts.offline++;
    else counts.waiting++;
  }
  return counts;
}
