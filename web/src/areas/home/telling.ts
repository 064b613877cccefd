// Which of a device's values tell most about it at a glance, and how a switch-like number reads.

import type { Json } from '$/api/client';
import type { Reading } from '$/live/fleet.svelte';
import { valueText } from '$/util/format';
import { keyDecimals, keyLabel, keyUnit } from '$/util/keys';

/** The telling keys, most telling first. A number behind a name (`relay2`) counts as the name. */
const TELLING = [
  'open',
  'motion',
  'door',
  'co2',
  'temperature',
  'level',
  'soil_moisture',
  'soil',
  'power',
  'heating',
  'humidity',
  'relay',
  'brightness',
  'wind',
  'pressure',
  'lux',
  'light',
  'flow',
  'battery',
  'voltage',
  'energy',
  'current',
];
/** What a board says about itself rather than about what it watches. */
const HOUSEKEEPING =
  /^(rssi|uptime|safe_mode|heap|heap_free|free_heap|battery_v|battery_voltage|v\d+|ip|ssid|mac|firmware|version)$/;
/** Words for numbers that only say yes or no. */
const WORDS: [RegExp, string, string][] = [
  [/^(open|door|window)$/, 'Open', 'Closed'],
  [/^motion$/, 'Motion', 'Quiet'],
  [/^(relay\d*|heating|switch\d*|led\d*|pump|valve)$/, 'On', 'Off'],
];

export interface Telling {
  key: string;
  label: string;
  text: string;
  unit: string;
  at: number;
}

function rank(key: string): number {
  const whole = TELLING.indexOf(key.toLowerCase());
  const at = whole >= 0 ? whole : TELLING.indexOf(key.toLowerCase().replace(/\d+$/, ''));
  return at < 0 ? TELLING.length : at;
}

/** A value in words or with its decimals. */
export function tell(key: string, value: Json): { text: string; unit: string } {
  const words = value === 0 || value === 1 ? WORDS.find(([fits]) => fits.test(key.toLowerCase())) : undefined;
  if (words) return { text: value === 1 ? words[1] : words[2], unit: '' };
  return { text: valueText(value, keyDecimals(key)), unit: typeof value === 'number' ? keyUnit(key) : '' };
}

/** At most `most` values of a device, the most telling first; the device's own health only when there is nothing else. */
export function telling(values: Readonly<Record<string, Reading>>, most = 2): Telling[] {
  const plain = Object.keys(values).filter((key) => {
    const value = values[key]?.value;
    return value !== null && typeof value !== 'object';
  });
  const told = plain.filter((key) => !HOUSEKEEPING.test(key.toLowerCase()));
  const keys = (told.length ? told : plain).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  return keys.slice(0, most).map((key) => {
    const { value, at } = values[key]!;
    return { key, label: keyLabel(key), ...tell(key, value), at };
  });
}
