// A plan as a form holds it, and as the server wants it.

import type { Json, Schemas } from '$/api/client';
import type { Plan, Rollout, Wave } from './rollout';

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

/** The conditions that mean a target; nothing when it says what a list of conditions cannot. */
export function conditionsOf(target: Json): Condition[] | undefined {
  const parts = target === 'everything' ? [] : (partsOf(target, 'and') ?? [target]);
  const conditions: Condition[] = [];
  for (const part of parts) {
    const inner = field(part, 'not');
    const test = inner ?? part;
    const known = CONDITIONS.find(({ kind }) => field(test, kind) !== undefined);
    const value = known && field(test, known.kind);
    if (!known || value === undefined) return undefined;
    const text = Array.isArray(value) ? value.join(', ') : String(value);
    conditions.push({ kind: known.kind, not: inner !== undefined, text });
  }
  // A name with a comma in it, or a condition in a condition, would come back as something else.
  return JSON.stringify(targetOf(conditions)) === JSON.stringify(target) ? conditions : undefined;
}

function field(json: Json, key: string): Json | undefined {
  return json !== null && typeof json === 'object' && !Array.isArray(json) ? json[key] : undefined;
}
function partsOf(json: Json, key: string): Json[] | undefined {
  const value = field(json, key);
  return Array.isArray(value) ? value : undefined;
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

/** Waves as people write them. */
export function textOfWaves(waves: Wave[]): string {
  return waves
    .map((wave) => {
      if ('percent' in wave) return `${wave.percent} %`;
      if ('count' in wave) return wave.count === 1 ? '1 board' : `${wave.count} boards`;
      return `group ${wave.group}`;
    })
    .join(', ');
}

export const PRESETS: { label: string; hint: string; waves: string }[] = [
  { label: 'Careful', hint: 'one board first', waves: '1 board, 10 %, 50 %, 100 %' },
  { label: 'In waves', hint: 'the usual way', waves: '5 %, 25 %, 100 %' },
  { label: 'All at once', hint: 'for a few boards on a desk', waves: '100 %' },
];

/** Hours at which boards may be updated. */
export interface Hours {
  days: string[];
  from: string;
  to: string;
}

/** Hours to begin with: the night. */
export const night = (): Hours => ({ days: [], from: '02:00', to: '05:00' });

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
  /** None: at any time. */
  windows: Hours[];
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
    windows: [],
    approval: false,
    newDevices: true,
  };
}

const seconds = (minutes: number): number => Math.round(minutes * 60);
const whole = (n: number | null): number | null => (typeof n === 'number' && Number.isFinite(n) ? Math.round(n) : null);

/** A moment as an input for local time writes it. */
function localTime(iso: string): string {
  const at = new Date(iso);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString();
  return local.slice(0, at.getSeconds() ? 19 : 16);
}

/** The form of a plan that is there. */
export function fieldsOf(plan: Plan): Fields {
  return {
    success: plan.success_percent,
    failPercent: plan.limit.percent,
    failCount: plan.limit.count,
    watchMinutes: plan.health.window_s / 60,
    soakMinutes: plan.soak_s / 60,
    attempts: plan.max_attempts,
    downloads: plan.downloads,
    delayMinutes: plan.random_delay_s / 60,
    startAt: plan.start_at ? localTime(plan.start_at) : '',
    zone: plan.time_zone,
    windows: plan.windows.map(({ weekdays, from, to }) => ({ days: weekdays ?? [], from, to })),
    approval: plan.approval,
    newDevices: plan.new_devices,
  };
}

/** The plan that a form means; what the form does not show stays as it is in `before`. */
export function planOf(fields: Fields, waves: Wave[], before?: Plan): Schemas['PlanBody'] {
  return {
    ...before,
    waves,
    success_percent: fields.success,
    limit: { count: whole(fields.failCount), percent: whole(fields.failPercent) },
    health: { ...before?.health, window_s: seconds(fields.watchMinutes) },
    soak_s: seconds(fields.soakMinutes),
    max_attempts: fields.attempts,
    downloads: fields.downloads,
    random_delay_s: seconds(fields.delayMinutes),
    start_at: fields.startAt ? new Date(fields.startAt).toISOString() : null,
    time_zone: fields.zone.trim() || 'UTC',
    windows: fields.windows.map(({ days, from, to }) => ({ weekdays: days, from, to })),
    approval: fields.approval,
    new_devices: fields.newDevices,
  } as Schemas['PlanBody'];
}

/** Whether everything of it can still be changed. Who approves a rollout does not change it, too. */
export function mayChange(rollout: Rollout, me: string | undefined): boolean {
  if (rollout.state === 'awaiting_approval') return isOwn(rollout, me);
  return rollout.state === 'draft' || rollout.state === 'scheduled';
}

/** Whether somebody made or started it, and so cannot be the second person who approves it. */
export function isOwn(rollout: Rollout, me: string | undefined): boolean {
  return me === undefined || me === rollout.created_by || me === rollout.started_by;
}

/** What was agreed on, to see whether it has changed. */
export function agreed(rollout: Rollout): string {
  return JSON.stringify([rollout.release_id, rollout.name, rollout.target, rollout.plan]);
}
