// Setting what a device should be: shown at once, confirmed by the board, taken back with the reason when refused.

import { api, ask, sentence, type Json, type KeyState } from '$/api/client';
import type { LiveDevice } from '$/live/fleet.svelte';
import { toasts } from '$/ui/toasts.svelte';
import { keyLabel } from '$/util/keys';

export type Phase = 'none' | 'pending' | 'waiting' | 'done' | 'expired' | 'refused';

/** How far a desired value is. `waiting`: the board is not there to hear of it. */
export function phaseOf(state: KeyState | undefined, online: boolean): Phase {
  switch (state?.status) {
    case 'pending':
    case 'offline':
      return online ? 'pending' : 'waiting';
    case 'done':
      return 'done';
    case 'expired':
    case 'refused':
      return state.status;
    default:
      return 'none';
  }
}

/** What stands where the value is: the wanted one while it is on its way, else what the board says. */
export function shownValue(state: KeyState | undefined, latest: Json | undefined): Json | undefined {
  if (state?.status === 'pending' || state?.status === 'offline') return state.desired as Json;
  if (latest !== undefined) return latest;
  return (state?.reported ?? undefined) as Json | undefined;
}

const NOTHING: KeyState = { version: 0, reported_version: 0 };

/** Of two states of a key, the one that knows more: the socket may be faster than the answer. */
export function newer(known: KeyState | undefined, told: KeyState): KeyState {
  if (!known || told.version > known.version) return told;
  if (told.version < known.version) return known;
  return known.status === 'done' || known.status === 'expired' || known.status === 'refused' ? known : told;
}

/** Sets a desired value. Returns why not, or nothing. */
export async function setDesired(
  device: LiveDevice,
  key: string,
  value: Json,
  expires?: number,
): Promise<string | undefined> {
  const before = device.states[key];
  const wanted: KeyState = {
    ...(before ?? NOTHING),
    desired: value,
    status: 'pending',
    pending_since: new Date().toISOString(),
  };
  device.states = { ...device.states, [key]: wanted };
  try {
    const params = { path: { id: device.id }, query: expires ? { expires_in_seconds: expires } : {} };
    const answer = await ask(api.PUT('/devices/{id}/desired', { params, body: { [key]: value } }));
    const states = { ...device.states };
    for (const [name, told] of Object.entries(answer.state as Record<string, KeyState>)) {
      states[name] = states[name] === wanted ? told : newer(states[name], told);
    }
    device.states = states;
    return undefined;
  } catch (error) {
    if (device.states[key] === wanted) {
      const { [key]: _, ...rest } = device.states;
      device.states = before ? { ...rest, [key]: before } : rest;
    }
    return sentence(error);
  }
}

/** The same for a press whose only place to answer is a message. */
export async function press(device: LiveDevice, key: string, value: Json): Promise<void> {
  const why = await setDesired(device, key, value);
  if (why) toasts.failed(`${keyLabel(key)} stays as it was. ${why}`);
}
