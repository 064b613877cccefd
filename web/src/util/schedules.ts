// What a board switches by itself, in words. The list is the one of the firmware's `schedules`.

import type { Json } from '$/api/client';
import { keyLabel } from './keys';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const UNITS: readonly [number, string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

function pause(seconds: number): string {
  const unit = UNITS.find(([size]) => seconds % size === 0);
  return unit ? `${seconds / unit[0]} ${unit[1]}` : `${seconds} s`;
}

function days(text: string): string {
  return text
    .replace(/[0-7]/g, (day) => DAYS[Number(day)]!)
    .replaceAll('-', '–')
    .replaceAll(',', ', ');
}

function when({ at, every, days: on }: Record<string, Json>): string | undefined {
  if (typeof every === 'number') return `every ${pause(every)}`;
  if (typeof at !== 'string') return undefined;
  return typeof on === 'string' ? `${at} ${days(on)}` : at;
}

/** A list of schedules in words, as `every 5 min: Pump On; 07:30 Mon–Fri: Light Off`; none when the value is no such list. */
export function scheduleText(value: Json | undefined, word: (key: string, value: Json) => string): string | undefined {
  if (!Array.isArray(value)) return undefined;
  if (!value.length) return 'None';
  const words: string[] = [];
  for (const one of value) {
    if (one === null || typeof one !== 'object' || Array.isArray(one)) return undefined;
    const moment = when(one);
    const { key, value: set } = one;
    if (!moment || typeof key !== 'string' || set === undefined) return undefined;
    words.push(`${moment}: ${keyLabel(key)} ${word(key, set)}`);
  }
  return words.join('; ');
}
