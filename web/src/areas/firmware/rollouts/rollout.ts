// Words and shapes for rollouts: what people read for states, targets and plans.

import type { Json, Schemas } from '$/api/client';
import type { StateKind } from '$/ui/states';
import { count, duration } from '$/util/format';

export type Rollout = Schemas['RolloutView'];
export type RolloutDevice = Schemas['RolloutDevice'];
export type Plan = Schemas['PlanBody'];
export type Wave = Schemas['WaveBody'];
export type Counts = Schemas['CountsView'];
export type Update = Schemas['UpdateView'];

/** How the state of a rollout is shown. */
export function rolloutState(state: string): { kind: StateKind; text: string } {
  switch (state) {
    case 'draft':
      return { kind: 'idle', text: 'Draft' };
    case 'awaiting_approval':
      return { kind: 'stale', text: 'Awaits approval' };
    case 'scheduled':
      return { kind: 'pending', text: 'Scheduled' };
    case 'running':
      return { kind: 'pending', text: 'Running' };
    case 'paused':
      return { kind: 'stale', text: 'Paused' };
    case 'halted':
      return { kind: 'failed', text: 'Halted' };
    case 'finished':
      return { kind: 'done', text: 'Finished' };
    case 'aborted':
      return { kind: 'offline', text: 'Aborted' };
    case 'rolling_back':
      return { kind: 'pending', text: 'Rolling back' };
    case 'rolled_back':
      return { kind: 'offline', text: 'Rolled back' };
    default:
      return { kind: 'idle', text: state };
  }
}

/** Where a device stands: its word, how it is shown, and which part of a bar it belongs to. */
export type Part = 'waiting' | 'moving' | 'watched' | 'succeeded' | 'failed' | 'apart';

const DEVICE_STATES: Record<string, { text: string; kind: StateKind; part: Part }> = {
  waiting: { text: 'Waiting', kind: 'idle', part: 'waiting' },
  offered: { text: 'Offered', kind: 'pending', part: 'moving' },
  downloading: { text: 'Downloading', kind: 'pending', part: 'moving' },
  written: { text: 'Restarting', kind: 'pending', part: 'moving' },
  trial: { text: 'On trial', kind: 'pending', part: 'moving' },
  watched: { text: 'Watched', kind: 'done', part: 'watched' },
  confirmed: { text: 'Confirmed', kind: 'done', part: 'succeeded' },
  succeeded: { text: 'Healthy', kind: 'done', part: 'succeeded' },
  unwell: { text: 'Not well', kind: 'failed', part: 'failed' },
  rolled_back: { text: 'Went back', kind: 'failed', part: 'failed' },
  failed: { text: 'Failed', kind: 'failed', part: 'failed' },
  cancelled: { text: 'Cancelled', kind: 'offline', part: 'apart' },
  apart: { text: 'Not concerned', kind: 'offline', part: 'apart' },
};

export function deviceWord(state: string): { text: string; kind: StateKind; part: Part } {
  return DEVICE_STATES[state] ?? { text: state, kind: 'idle', part: 'waiting' };
}

/** The state of a device in its rollout, out of its update as a frame brings it. */
export function stateOf(update: Update): string {
  if (update.state !== 'confirmed') return update.state;
  if (update.way !== 'forward' || update.health === 'healthy') return 'succeeded';
  return update.health === 'watched' || !update.health ? 'watched' : 'unwell';
}

const REASONS: Record<string, string> = {
  signature: 'Its signature does not count on the board.',
  digest: 'What arrived was damaged.',
  chip: 'It is for another chip.',
  secure_version: 'The board refuses to go back to an older secure version.',
  slot: 'It does not fit the slot.',
  flash: 'The flash could not be written.',
  download: 'The download broke off too often.',
  patch: 'The patch did not apply; the whole image is taken next.',
  crash_loop: 'It crashed again and again, and the board took the old image back.',
  no_server: 'It could not reach the server, and the board took the old image back.',
  self_test: 'It failed its own check of the hardware, and the board took the old image back.',
  bootloader: 'The bootloader refused it and started the old image.',
  no_return: 'The board did not come back after the download.',
  silent: 'The board has gone silent.',
  low_heap: 'It has too little free memory.',
  shrinking_heap: 'Its free memory shrinks.',
  no_telemetry: 'It reports no values.',
};

/** Why something failed, as a sentence; what is no known word is a sentence already. */
export function reasonText(reason: string | null | undefined): string {
  if (!reason) return '';
  return REASONS[reason] ?? (/\s/.test(reason) ? reason : reason.replaceAll('_', ' '));
}

/** A wave in words. */
export function waveText(wave: Wave): string {
  if ('percent' in wave) return `${wave.percent} %`;
  if ('count' in wave) return count(wave.count, 'device');
  return `Group ${wave.group}`;
}

function words(list: unknown): string {
  return Array.isArray(list) ? list.map((one) => `“${String(one)}”`).join(' or ') : '';
}

/** A target in words. */
export function targetText(target: Json | undefined, inside = false): string {
  if (target === 'everything' || target === undefined) return 'every device';
  if (target === null || typeof target !== 'object' || Array.isArray(target)) return 'unknown';
  const [[kind, value] = ['', null]] = Object.entries(target);
  switch (kind) {
    case 'devices':
      return count(Array.isArray(value) ? value.length : 0, 'chosen device');
    case 'groups':
      return `group ${words(value)}`;
    case 'tags':
      return `tag ${words(value)}`;
    case 'kinds':
      return `kind ${words(value)}`;
    case 'chips':
      return `chip ${words(value)}`;
    case 'version':
      return `version ${String(value)}`;
    case 'name':
      return `name contains “${String(value)}”`;
    case 'not':
      return `not ${targetText(value, true)}`;
    case 'and':
    case 'or': {
      const parts = (Array.isArray(value) ? value : []).map((one) => targetText(one, true));
      const text = parts.join(kind === 'and' ? ', and ' : ', or ');
      return inside && parts.length > 1 ? `(${text})` : text;
    }
    default:
      return 'unknown';
  }
}

const DAYS: Record<string, string> = {
  mon: 'Mon',
  tue: 'Tue',
  wed: 'Wed',
  thu: 'Thu',
  fri: 'Fri',
  sat: 'Sat',
  sun: 'Sun',
};

/** A plan as short sentences. */
export function planText(plan: Plan): string[] {
  const lines = [`In ${count(plan.waves.length, 'wave')}: ${plan.waves.map(waveText).join(', ')}`];
  lines.push(`The next wave opens when ${plan.success_percent} % of one are healthy`);
  const stop = [];
  if (typeof plan.limit.count === 'number') stop.push(count(plan.limit.count, 'failure'));
  if (typeof plan.limit.percent === 'number') stop.push(`more than ${plan.limit.percent} % failures`);
  if (stop.length) lines.push(`Halts at ${stop.join(' or ')}`);
  if (plan.health.window_s > 0)
    lines.push(`Each board is watched for ${duration(plan.health.window_s)} after it confirmed`);
  if (plan.soak_s > 0) lines.push(`${duration(plan.soak_s)} between waves`);
  for (const window of plan.windows) {
    const days = window.weekdays?.length ? window.weekdays.map((day) => DAYS[day] ?? day).join(', ') : 'Every day';
    lines.push(`${days} from ${window.from} to ${window.to}, in each board's own time (else ${plan.time_zone})`);
  }
  if (plan.random_delay_s > 0) lines.push(`Each board waits up to ${duration(plan.random_delay_s)}`);
  if (plan.downloads > 0) lines.push(`At most ${plan.downloads} download at once`);
  lines.push(`Up to ${count(plan.max_attempts, 'attempt')} per board`);
  if (plan.approval) lines.push('A second person approves it');
  if (plan.new_devices) lines.push('New devices take part');
  return lines;
}

/** The parts of a bar, as shares of all members; they add up to at most 1. */
export function shares(counts: Counts): { part: Part; n: number; share: number; text: string }[] {
  const all = counts.members || 1;
  const parts: [Part, number, string][] = [
    ['succeeded', counts.succeeded, 'healthy'],
    ['watched', counts.watched, 'watched'],
    ['moving', counts.under_way, 'under way'],
    ['failed', counts.failed, 'failed'],
    ['apart', counts.cancelled, 'cancelled'],
    ['waiting', counts.waiting, 'waiting'],
  ];
  return parts.filter(([, n]) => n > 0).map(([part, n, text]) => ({ part, n, share: n / all, text }));
}
