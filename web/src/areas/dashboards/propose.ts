// Which widgets fit a device, judged by its keys: switches for what can be switched, a chart and gauges for what is
// measured. The person can leave out any of them.

import type { Json, KeyState } from '$/api/client';
import { keyLabel } from '$/util/keys';
import { positionOf } from './config';
import type { Kind } from './layout';

export interface Proposal {
  type: Kind;
  label: string;
  config: Record<string, Json>;
}

/** About the board itself, not about what it is for. */
const HOUSEKEEPING =
  /^(heap_free|free_heap|heap|uptime|rssi|safe_mode|timestamp|ip|ssid|version|firmware|reset_reason|boot_count)$/i;
/** Yes or no that is sensed, not switched. */
const SENSED =
  /motion|door|window|open|contact|leak|presence|occup|alarm|smoke|charging|heating|cooling|tamper|events?$/i;
/** What is switched, also when a board only reports it. */
const SWITCHED = /^(v\d{1,3}|led\d*|relay_?\d*|switch_?\d*|lamp|light_on|pump|fan|valve|power_on)$/i;
/** What is most worth a chart comes first. */
const CHARTED = [
  'temperature',
  'co2',
  'power',
  'level',
  'soil_moisture',
  'humidity',
  'pressure',
  'lux',
  'light',
  'battery',
];
const GAUGES: Record<string, [number, number]> = {
  humidity: [0, 100],
  battery: [0, 100],
  level: [0, 100],
  soil: [0, 100],
  soil_moisture: [0, 100],
  temperature: [-10, 40],
  co2: [400, 2000],
  pressure: [950, 1050],
};
/** Widgets that are still one look. */
const MOST = 10;
const MOST_GAUGES = 2;

const binary = (value: Json | undefined): boolean => typeof value === 'boolean' || value === 0 || value === 1;

/** The range of a gauge for a key, where one is usual and the value lies within it. */
export function usualRange(key: string, value: Json | undefined): { min: number; max: number } | undefined {
  const range = GAUGES[key.toLowerCase()];
  if (!range || (typeof value === 'number' && (value < range[0] || value > range[1]))) return undefined;
  return { min: range[0], max: range[1] };
}

/** The values that a switch of this key sets: those of the kind that the board reports. */
export function switchValues(value: Json | undefined): Record<string, Json> {
  return typeof value === 'boolean' ? { on_value: true, off_value: false } : {};
}

/** Pins have no names of their own: the first one is what the board is for. */
function controlLabel(key: string): string {
  if (/^(v0|led)$/i.test(key)) return 'Switch';
  return /^v\d+$/i.test(key) ? `Switch ${key}` : keyLabel(key);
}

/** What sets a key that holds this value. */
function control(key: string, value: Json): Proposal | undefined {
  const label = controlLabel(key);
  if (binary(value)) return { type: 'switch', label, config: { key, ...switchValues(value) } };
  if (typeof value === 'number') {
    const slides = /bright|dim|speed|volume|level|percent|duty|position/i.test(key) && value >= 0;
    if (slides && value <= 100) return { type: 'slider', label, config: { key, min: 0, max: 100, step: 1, unit: '%' } };
    // A dimmed pin has the levels of a byte.
    if (slides && value <= 255) return { type: 'slider', label, config: { key, min: 0, max: 255, step: 1 } };
    return { type: 'number', label, config: { key, step: Number.isInteger(value) ? 1 : 0.5 } };
  }
  return typeof value === 'string' ? { type: 'text', label, config: { key } } : undefined;
}

/** The widgets for a device with these values and these keys that can be set. */
export function propose(
  values: Readonly<Record<string, Json>>,
  states: Readonly<Record<string, Pick<KeyState, 'desired' | 'reported'>>>,
): Proposal[] {
  const controls: Proposal[] = [];
  const settable = new Set(Object.keys(states));
  for (const [key, state] of Object.entries(states)) {
    const value = values[key] ?? (state.reported as Json | undefined) ?? (state.desired as Json | undefined);
    const found = value === undefined || value === null ? undefined : control(key, value);
    if (found) controls.push(found);
  }
  const seen = Object.entries(values).filter(([key]) => !settable.has(key) && !HOUSEKEEPING.test(key));
  const shown: Proposal[] = [];
  const numbers: string[] = [];
  for (const [key, value] of seen) {
    const label = keyLabel(key);
    if (binary(value) && SWITCHED.test(key)) controls.push(control(key, value)!);
    else if (typeof value === 'boolean' && !SENSED.test(key)) controls.push(control(key, value)!);
    else if (binary(value) && SENSED.test(key))
      shown.push({ type: 'telemetry', label, config: { key, format: 'onoff' } });
    else if (typeof value === 'number') numbers.push(key);
    else if (positionOf(value)) shown.push({ type: 'location', label, config: { key } });
    else if (typeof value === 'string') shown.push({ type: 'telemetry', label, config: { key } });
  }
  const rank = (key: string): number => (CHARTED.indexOf(key) + CHARTED.length + 1) % (CHARTED.length + 1);
  numbers.sort((a, b) => rank(a) - rank(b));
  const charts = numbers.slice(0, 1).map((key): Proposal => ({ type: 'chart', label: keyLabel(key), config: { key } }));
  let gauges = 0;
  const rest = numbers.length > 1 ? numbers.slice(1) : numbers;
  const measured = rest.map((key): Proposal => {
    const range = usualRange(key, values[key]);
    const gauge = range && gauges < MOST_GAUGES;
    if (gauge) gauges++;
    return gauge
      ? { type: 'gauge', label: keyLabel(key), config: { key, ...range } }
      : { type: 'telemetry', label: keyLabel(key), config: { key } };
  });
  const kinds: Kind[] = ['switch', 'slider', 'number', 'text'];
  controls.sort((a, b) => kinds.indexOf(a.type) - kinds.indexOf(b.type));
  // Gauges are higher than values: side by side they make whole rows.
  const gaugesFirst = [...measured.filter((m) => m.type === 'gauge'), ...measured.filter((m) => m.type !== 'gauge')];
  return [...charts, ...gaugesFirst.slice(0, gauges), ...controls, ...gaugesFirst.slice(gauges), ...shown].slice(
    0,
    MOST,
  );
}
