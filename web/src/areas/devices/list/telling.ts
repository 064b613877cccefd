// The one or two values that tell most about a device, for lists.

import type { Json } from '$/api/client';

/** What people look for first. */
const FIRST = [
  'temperature',
  'co2',
  'humidity',
  'power',
  'level',
  'soil_moisture',
  'soil',
  'moisture',
  'open',
  'door',
  'motion',
  'relay1',
  'v0',
  'led',
  'on',
  'state',
  'brightness',
  'target',
  'pressure',
  'battery',
  'energy',
  'lux',
  'light',
];
/** What a board tells of itself, not of the world. */
const HOUSEKEEPING =
  /^(_.*|rssi|safe_mode|uptime.*|heap.*|free_heap|timestamp|ts|millis|version|firmware|ip|ssid|mac|boot.*|reset.*)$/;

function rank(key: string, value: Json): number {
  const name = key.toLowerCase();
  const at = FIRST.indexOf(name);
  if (at >= 0) return at;
  if (HOUSEKEEPING.test(name)) return 1000;
  if (typeof value === 'number' || typeof value === 'boolean') return 100;
  return typeof value === 'string' && value.length <= 16 ? 200 : 2000;
}

/** The keys to show of a device, most telling first. */
export function tellingKeys(values: Readonly<Record<string, { value: Json }>>, most = 2): string[] {
  return Object.entries(values)
    .map(([key, { value }]) => ({ key, rank: rank(key, value) }))
    .filter((one) => one.rank < 2000)
    .sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1))
    .slice(0, most)
    .map((one) => one.key);
}

/** Every key of a device in that order: what it says of the world, and what it says of itself. */
export function orderedKeys(
  values: Readonly<Record<string, { value: Json }>>,
  others: readonly string[] = [],
): { world: string[]; board: string[] } {
  const keys = [...new Set([...Object.keys(values), ...others])];
  const ranked = keys
    .map((key) => ({ key, rank: rank(key, values[key]?.value ?? 0) }))
    .sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1))
    .map((one) => one.key);
  const own = (key: string): boolean => HOUSEKEEPING.test(key.toLowerCase());
  return { world: ranked.filter((key) => !own(key)), board: ranked.filter(own) };
}
