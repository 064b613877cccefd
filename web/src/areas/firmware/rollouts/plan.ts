// A plan as a form holds it, and as the server wants it.

import type { Json, Schemas } from '$/api/client';
import type { Wave } from './rollout';

export type NewRollout = Schemas['NewRollout'];

/** One condition of a target. */
export interface Condition {
  kind: 'groups' | 'tags' | 'kinds' | 'chips' | 'version' | 'name' | 'devices';
  not: boolean;
  text: string;
}

export const CONDITIONS: { kind: Condition['kind']; label: string; hint: string }[] = [
  { kind: 'groups', label: 'Group', hint: 'greenhouse, lab' },
  { kind: 'tags', label: 'Tag', hint: 'canary' },
  { kind: 'kinds', label: 'Kind', hint: 'plug' },
  { kind: 'chips', label: 'Chip', hint: 'esp32c3' },
  { kind: 'version', label: 'Version', hint: '< 1.4.0' },
  { kind: 'name', label: 'Name contains', hint: 'balcony' },
  { kind: 'devices', label: 'Devices', hint: 'ids, separated by commas' },
];

const list = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);

/** The target that conditions mean together; without any, every device. */
export function targetOf(conditions: Condition[]): Json {
  const parts = conditions
    .filter((one) => one.text.trim())
    .map((one): Json => {
      const value = one.kind === 'version' || one.kind === 'name' ? one.text.trim() : list(one.text);
      const test: Json = { [one.kind]: value };
      return one.not ? { not: test } : test;
    });
  const [first] = parts;
  if (first === undefined) return 'everything';
  return parts.length === 1 ? first : { and: parts };
}

/** Reads waves as people write them: `5 %, 25 %, 100 %`, `3 boards`, `group lab`. A sentence says what is wrong. */
export function wavesOf(text: string): { waves: Wave[]; wrong?: undefined } | { waves?: undefined; wrong: string } {
  const waves: Wave[] = [];
  for (const part of list(text)) {
    const percent = /^(\d{1,3})\s*%$/.exec(part);
    const count = /^(\d{1,7})(\s*(boards?|devices?))?$/i.exec(part);
    const group = /^group\s*:?\s*(.+)$/i.exec(part);
    if (percent) {
      const n = Number(percent[1]);
      if (n < 1 || n > 100) return { wrong: `${part}: a share is 1 % to 100 %.` };
      waves.push({ percent: n });
    } else if (count) waves.push({ count: Number(count[1]) });
    else if (group?.[1]) waves.push({ group: group[1].trim() });
    else return { wrong: `“${part}” is no wave: write for example 5 %, 3 boards or group lab.` };
  }
  if (!waves.length) return { wrong: 'Name at least one wave, for example 100 %.' };
  return { waves };
}

export const PRESETS: { label: string; hint: string; waves: string }[] = [
  { label: 'Careful', hint: 'one board first', waves: '1 board, 10 %, 50 %, 100 %' },
  { label: 'In waves', hint: 'the usual way', waves: '5 %, 25 %, 100 %' },
  { label: 'All at once', hint: 'for a few boards on a desk', waves: '100 %' },
];

/** What the form holds beside target and waves. */
export interface Fields {
  success: number;
  failPercent: number | null;
  failCount: number | null;
  watchMinutes: number;
  soakMinutes: number;
  attempts: number;
  downloads: number;
  delayMinutes: number;
  startAt: string;
  zone: string;
  windowOn: boolean;
  days: string[];
  from: string;
  to: string;
  approval: boolean;
  newDevices: boolean;
}

/** A new form. */
export function fresh(): Fields {
  return {
    success: 95,
    failPercent: 5,
    failCount: null,
    watchMinutes: 10,
    soakMinutes: 0,
    attempts: 3,
    downloads: 0,
    delayMinutes: 0,
    startAt: '',
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
    windowOn: false,
    days: [],
    from: '02:00',
    to: '05:00',
    approval: false,
    newDevices: true,
  };
}

const seconds = (minutes: number): number => Math.round(minutes * 60);
const whole = (n: number | null): number | null => (typeof n === 'number' && Number.isFinite(n) ? Math.round(n) : null);

/** The plan that a form means. */
export function planOf(fields: Fields, waves: Wave[]): Schemas['PlanBody'] {
  return {
    waves,
    success_percent: fields.success,
    limit: { count: whole(fields.failCount), percent: whole(fields.failPercent) },
    health: { window_s: seconds(fields.watchMinutes) },
    soak_s: seconds(fields.soakMinutes),
    max_attempts: fields.attempts,
    downloads: fields.downloads,
    random_delay_s: seconds(fields.delayMinutes),
    start_at: fields.startAt ? new Date(fields.startAt).toISOString() : null,
    time_zone: fields.zone.trim() || 'UTC',
    windows: fields.windowOn ? [{ weekdays: fields.days, from: fields.from, to: fields.to }] : [],
    approval: fields.approval,
    new_devices: fields.newDevices,
  } as Schemas['PlanBody'];
}
