// The states that things are in, and how a device's is found.

import type { Device } from '$/api/client';

export type StateKind = 'online' | 'stale' | 'offline' | 'pending' | 'failed' | 'done' | 'idle';

/** Without a better word of the device: how often it is expected to report, seconds. */
const DEFAULT_INTERVAL_S = 60;
/** Reports that may be missed before values are called stale. */
const MISSED = 2.5;

/** How often a device is expected to report, seconds: as its owner says, else as it says itself. */
export function intervalOf(device: Device): number {
  return device.expected_interval_seconds ?? device.facts?.expected_interval_seconds ?? DEFAULT_INTERVAL_S;
}

/** The state of a device: online, online but late (`stale`), or offline. */
export function deviceState(device: Device, now: number): { kind: StateKind; text: string } {
  if (device.unclaimed) return { kind: 'idle', text: 'Unclaimed' };
  if (!device.online)
    return device.last_active ? { kind: 'offline', text: 'Offline' } : { kind: 'idle', text: 'Never seen' };
  const quiet = device.last_active ? now - Date.parse(device.last_active) : 0;
  return quiet > intervalOf(device) * 1000 * MISSED
    ? { kind: 'stale', text: 'Late' }
    : { kind: 'online', text: 'Online' };
}
