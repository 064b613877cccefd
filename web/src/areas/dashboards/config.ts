// The `config` of a widget as this app reads it, and what its values mean: on or off, a position, a text.

import type { Json, Values } from '$/api/client';
import { keyDecimals, keyUnit } from '$/util/keys';
import { number, valueText } from '$/util/format';
import { same } from './control';
import type { Kind } from './layout';

export interface Config {
  key?: string;
  unit: string;
  decimals?: number;
  min?: number;
  max?: number;
  step?: number;
  on: Json;
  off: Json;
  value?: Json;
  maxLength: number;
  url?: string;
  period: string;
  /** Values that mean on and off are shown as words. */
  words: boolean;
}

/** What a text widget takes unless its config says otherwise. */
const TEXT_LENGTH = 256;
const PERIODS: Record<string, number> = {
  '15m': 900,
  '1h': 3600,
  '6h': 21_600,
  '24h': 86_400,
  '7d': 604_800,
  '30d': 2_592_000,
};
export const DEFAULT_PERIOD = '24h';

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const real = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;
const plain = (value: unknown): Json | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;

/** Reads a config; what does not fit is as if it were not there. */
export function readConfig(kind: Kind, raw: Record<string, unknown>): Config {
  const key = text(raw.virtual_pin) ?? text(raw.key);
  const decimals = real(raw.decimals) ?? (key === undefined ? undefined : keyDecimals(key));
  const slider = kind === 'slider';
  return {
    ...given({
      key,
      decimals,
      min: real(raw.min) ?? (slider ? 0 : undefined),
      max: real(raw.max) ?? (slider ? 100 : undefined),
    }),
    ...given({ step: real(raw.step), value: plain(raw.value), url: text(raw.url) }),
    unit: typeof raw.unit === 'string' ? raw.unit : key === undefined ? '' : keyUnit(key),
    on: plain(raw.on_value) ?? 1,
    off: plain(raw.off_value) ?? 0,
    maxLength: real(raw.max_length) ?? TEXT_LENGTH,
    period: typeof raw.period === 'string' && raw.period in PERIODS ? raw.period : DEFAULT_PERIOD,
    words: raw.format === 'onoff' || kind === 'switch' || kind === 'led',
  };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
function given<T extends Record<string, unknown>>(all: T): Given<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** The length of a chart, seconds. */
export function periodSeconds(period: string): number {
  return PERIODS[period] ?? PERIODS[DEFAULT_PERIOD]!;
}

export const PERIOD_NAMES: [string, string][] = [
  ['15m', '15 minutes'],
  ['1h', '1 hour'],
  ['6h', '6 hours'],
  ['24h', '24 hours'],
  ['7d', '7 days'],
  ['30d', '30 days'],
];

/** Whether a switch is on; nothing when that cannot be told. */
export function isOn(value: Json | undefined, config: Pick<Config, 'on' | 'off'>): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (same(value, config.on)) return true;
  if (same(value, config.off)) return false;
  if (value === true || value === 1 || value === '1') return true;
  if (value === false || value === 0 || value === '0') return false;
  if (typeof value === 'string') {
    const word = value.toLowerCase();
    if (word === 'on' || word === 'true') return true;
    if (word === 'off' || word === 'false') return false;
  }
  return undefined;
}

/** A value as a number of a chart or gauge: switches are 1 and 0. */
export function asNumber(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'boolean') return Number(value);
  return undefined;
}

/** The value as words, without its unit. */
export function words(value: Json | undefined, config: Config): string {
  if (config.words) {
    const on = isOn(value, config);
    if (on !== undefined) return on ? 'On' : 'Off';
  }
  // The minus sign is as wide as a digit; a hyphen is not.
  return typeof value === 'number' ? number(value, config.decimals).replace('-', '−') : valueText(value);
}

/** The value with its unit, for sentences. */
export function withUnit(value: Json | undefined, config: Config): string {
  const unit = typeof value === 'number' && !config.words ? config.unit : '';
  return `${words(value, config)}${unit ? ` ${unit}` : ''}`;
}

export interface Position {
  lat: number;
  lon: number;
}

function position(lat: unknown, lon: unknown): Position | undefined {
  const [a, b] = [Number(lat), Number(lon)];
  const fits = lat !== null && lon !== null && Math.abs(a) <= 90 && Math.abs(b) <= 180;
  return fits ? { lat: a, lon: b } : undefined;
}

/** Where something is, from whatever a board calls a position. */
export function positionOf(value: Json | undefined): Position | undefined {
  if (typeof value === 'string') {
    const parts = value.split(',').map((part) => part.trim());
    const numbers = parts.length === 2 && parts.every((part) => /^[+-]?\d+(\.\d+)?$/.test(part));
    return numbers ? position(parts[0], parts[1]) : undefined;
  }
  if (Array.isArray(value)) {
    const numbers = value.length >= 2 && value.slice(0, 2).every((part) => typeof part === 'number');
    return numbers ? position(value[0], value[1]) : undefined;
  }
  if (value && typeof value === 'object') return positionIn(value);
  return undefined;
}

/** Where something is, from values that stand apart. */
export function positionIn(values: Values): Position | undefined {
  const lat = values.lat ?? values.latitude;
  const lon = values.lon ?? values.lng ?? values.longitude;
  return typeof lat === 'number' && typeof lon === 'number' ? position(lat, lon) : undefined;
}

/** "52.5200° N, 13.4050° E". */
export function positionText({ lat, lon }: Position): string {
  return `${number(Math.abs(lat), 4)}° ${lat < 0 ? 'S' : 'N'}, ${number(Math.abs(lon), 4)}° ${lon < 0 ? 'W' : 'E'}`;
}
