// What a switch, slider or field goes through between a touch and the board's answer. Pure: events in, the next
// phase and what to send out.
//
//   idle → sending → pending → confirmed → idle
//             └────────┴──→ failed (rolled back, with the reason) → the next touch
//
// Only one request is on its way at a time, with the newest value after it, so that values reach the server in the
// order in which they were wanted.

import type { Json } from '$/api/client';
import { refusal } from '$/util/refusal';

export type Phase =
  | { kind: 'idle' }
  | { kind: 'sending'; sent: Json; wanted: Json; more: boolean }
  | { kind: 'pending'; wanted: Json; version: number }
  | { kind: 'confirmed'; wanted: Json; version: number }
  | { kind: 'failed'; reason: string };

/** What the server says of the key: its desired value against the reported one. */
export interface Twin {
  version: number;
  status: string | null | undefined;
  /** Why the board refused it. */
  reason?: string | null | undefined;
  desired?: Json | undefined;
  /** Left out where the server does not tell it. */
  reported?: Json | undefined;
}

export type Event =
  | { type: 'press'; value: Json }
  | { type: 'stored'; version: number; status: string }
  | { type: 'refused'; reason: string }
  | { type: 'twin'; twin: Twin; show: (value: Json) => string }
  | { type: 'rest' };

export interface Step {
  phase: Phase;
  /** What to send now. */
  send?: Json;
}

export const IDLE: Phase = { kind: 'idle' };

const TOLERANCE = 1e-6;

/** Whether two values are the same to a board: 1 and true are, and numbers within the float of a small chip. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  const number = (value: Json | undefined): number | undefined =>
    typeof value === 'boolean' ? Number(value) : typeof value === 'number' ? value : undefined;
  const [x, y] = [number(a), number(b)];
  if (x !== undefined && y !== undefined) return Math.abs(x - y) <= TOLERANCE * Math.max(Math.abs(x), Math.abs(y));
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The next phase after an event. */
export function step(phase: Phase, event: Event): Step {
  switch (event.type) {
    case 'press':
      if (phase.kind === 'sending') return { phase: { ...phase, wanted: event.value, more: true } };
      return { phase: { kind: 'sending', sent: event.value, wanted: event.value, more: false }, send: event.value };
    case 'stored':
      if (phase.kind !== 'sending') return { phase };
      if (phase.more) return again(phase.wanted);
      if (event.status === 'done') {
        return { phase: { kind: 'confirmed', wanted: phase.wanted, version: event.version } };
      }
      return { phase: { kind: 'pending', wanted: phase.wanted, version: event.version } };
    case 'refused':
      if (phase.kind !== 'sending') return { phase };
      // What was touched since may well be accepted.
      if (phase.more && !same(phase.sent, phase.wanted)) return again(phase.wanted);
      return { phase: { kind: 'failed', reason: event.reason } };
    case 'twin':
      return { phase: heard(phase, event.twin, event.show) };
    case 'rest':
      return { phase: phase.kind === 'confirmed' ? IDLE : phase };
  }
}

function again(wanted: Json): Step {
  return { phase: { kind: 'sending', sent: wanted, wanted, more: false }, send: wanted };
}

function waits(status: Twin['status']): boolean {
  return status === 'pending' || status === 'offline';
}

function heard(phase: Phase, twin: Twin, show: (value: Json) => string): Phase {
  // While our own request is under way its answer decides: what comes before it is about older values.
  if (phase.kind === 'sending') return phase;
  const mine = phase.kind === 'pending' || phase.kind === 'confirmed' ? phase.version : -1;
  if (mine > twin.version) return phase;
  if (waits(twin.status)) {
    if (phase.kind === 'pending' && mine === twin.version) return phase;
    if (phase.kind === 'confirmed' && mine === twin.version) return phase;
    return { kind: 'pending', wanted: twin.desired ?? null, version: twin.version };
  }
  if (phase.kind === 'pending') {
    if (twin.status === 'refused') return { kind: 'failed', reason: refusal(twin) };
    if (twin.status === 'expired') return { kind: 'failed', reason: 'The board did not take it in time.' };
    if (twin.status !== 'done') return phase;
    // Somebody wanted something else meanwhile, and the board did that.
    if (twin.version > mine) return IDLE;
    return other(phase.wanted, twin, show) ?? { kind: 'confirmed', wanted: phase.wanted, version: mine };
  }
  if (phase.kind === 'confirmed' && twin.version === mine && twin.status === 'done') {
    return other(phase.wanted, twin, show) ?? phase;
  }
  return phase;
}

/** A board may answer that it did something else: a heater that is as hot as it can be, a lock that is stuck. */
function other(wanted: Json, twin: Twin, show: (value: Json) => string): Phase | undefined {
  if (twin.reported === undefined || twin.reported === null || same(twin.reported, wanted)) return undefined;
  return { kind: 'failed', reason: `The board set it to ${show(twin.reported)} instead.` };
}

/** The value to show: what is wanted while it is on its way, else what the board reports. */
export function shown(phase: Phase, reported: Json | undefined): Json | undefined {
  return phase.kind === 'idle' || phase.kind === 'failed' ? reported : phase.wanted;
}
