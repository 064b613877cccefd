// What happened to a device, as a sentence.

import type { DeviceEvent, Json } from '$/api/client';
import { duration, valueText } from '$/util/format';
import { keyLabel } from '$/util/keys';

export type Tone = 'good' | 'bad' | 'warn' | 'plain';
export interface Described {
  title: string;
  more: string;
  tone: Tone;
}

/** The kinds that the server writes, for the filter. */
export const KINDS: Readonly<Record<string, string>> = {
  online: 'Came online',
  offline: 'Went offline',
  renamed: 'Renamed',
  changed: 'Changed',
  shared: 'Shared',
  unshared: 'Share ended',
  token_rotated: 'New token',
  claim_code: 'Claim code made',
  claimed: 'Claimed',
  transferred: 'Given away',
  low_battery: 'Battery low',
  high_temperature: 'Too hot',
  status_set: 'Status set by hand',
  introduced: 'Told what it is',
  created: 'Created',
};
const TONES: Record<string, Tone> = {
  online: 'good',
  created: 'good',
  claimed: 'good',
  offline: 'warn',
  low_battery: 'bad',
  high_temperature: 'bad',
};
const FIELDS: Record<string, string> = {
  firmware_version: 'firmware',
  expected_interval: 'interval',
  tags: 'tags',
  groups: 'groups',
  aliases: 'aliases',
  kind: 'kind',
  location: 'location',
  expected_interval_seconds: 'expected interval',
};

function plain(value: unknown): string {
  if (value === null || value === undefined || value === '') return 'none';
  if (Array.isArray(value)) return value.length ? value.map(String).join(', ') : 'none';
  return valueText(value as Json);
}

/** The sentence of an event; one of a kind that is not known shows what it holds. */
export function describe(event: DeviceEvent): Described {
  const detail = (event.detail && typeof event.detail === 'object' ? event.detail : {}) as Record<string, unknown>;
  const by = typeof detail.by === 'string' ? `by ${detail.by}` : '';
  const title = KINDS[event.kind] ?? keyLabel(event.kind);
  const tone = TONES[event.kind] ?? 'plain';
  const said = (...parts: string[]): Described => ({ title, tone, more: parts.filter(Boolean).join(' ') });
  switch (event.kind) {
    case 'offline':
      return said(typeof detail.silent_ms === 'number' ? `silent for ${duration(detail.silent_ms / 1000)}` : '', by);
    case 'renamed':
      return said(`to “${plain(detail.name)}”`, by);
    case 'shared':
      return said(`with ${plain(detail.with)} as ${plain(detail.role)}`, by);
    case 'unshared':
      return said(`with ${plain(detail.with)}`, by);
    case 'claimed':
      return said(by, detail.with === 'code' ? 'with a code' : '');
    case 'transferred':
      return said(detail.to ? `to ${plain(detail.to)}` : '', by);
    case 'status_set':
      return said(`to ${plain(detail.status)}`, by);
    case 'low_battery':
    case 'high_temperature':
      return said(`${keyLabel(plain(detail.key))} is ${plain(detail.value)}`);
    default: {
      const fields = Object.entries(detail).filter(
        ([name, value]) =>
          name !== 'by' && !(event.kind === 'introduced' && (value === null || name === 'firmware_sha256')),
      );
      return said(fields.map(([name, value]) => `${FIELDS[name] ?? name}: ${plain(value)}`).join('; '), by);
    }
  }
}

/** "Today", "Yesterday" or the date, for the headings of the list. */
export function dayOf(at: number, now: number): string {
  const day = new Date(at).toDateString();
  if (day === new Date(now).toDateString()) return 'Today';
  if (day === new Date(now - 86_400_000).toDateString()) return 'Yesterday';
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'full' }).format(at);
}
