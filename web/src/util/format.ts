// Numbers, times and values as people read them.

import type { Json } from '$/api/client';

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const shortTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const shortDate = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "3 min ago"; "now" within five seconds. Times in ms since 1970. */
export function ago(at: number, now: number): string {
  const seconds = (at - now) / 1000;
  if (Math.abs(seconds) < 5) return 'now';
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), 'second');
}

/** The whole date and time. */
export function moment(at: number): string {
  return dateTime.format(at);
}

/** The time of day, with the date when it is not today. */
export function shortMoment(at: number, now = Date.now()): string {
  return new Date(at).toDateString() === new Date(now).toDateString() ? shortTime.format(at) : shortDate.format(at);
}

/** "2 d 3 h", "4 min": two units at most. */
export function duration(seconds: number): string {
  const parts: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ];
  let rest = Math.max(0, Math.round(seconds));
  const out: string[] = [];
  for (const [unit, size] of parts) {
    const n = Math.floor(rest / size);
    if (n > 0) out.push(`${n} ${unit}`);
    rest -= n * size;
    if (out.length === 2) break;
  }
  return out.join(' ') || '0 s';
}

/** A number with as many decimals as help: four significant digits, or the given decimals. */
export function number(value: number, decimals?: number): string {
  if (decimals !== undefined) {
    return value.toLocaleString(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }
  const size = Math.abs(value);
  const digits = Number.isInteger(value) ? 0 : size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}

/** A telemetry value as text. */
export function valueText(value: Json | undefined, decimals?: number): string {
  if (value === undefined || value === null) return '–';
  if (typeof value === 'number') return number(value, decimals);
  if (typeof value === 'boolean') return value ? 'On' : 'Off';
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}

/** "1 device", "3 devices". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString()} ${n === 1 ? one : many}`;
}

/** "1.4 MB". */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${number(n, i > 0 && n < 100 ? 1 : 0)} ${units[i] ?? ''}`;
}
