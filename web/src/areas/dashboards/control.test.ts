import { describe, expect, it } from 'vitest';
import { IDLE, same, shown, step, type Event, type Phase, type Twin } from './control';

const show = (value: unknown): string => String(value);
const hear = (twin: Twin): Event => ({ type: 'twin', twin, show });
const run = (...events: Event[]): { phase: Phase; sent: unknown[] } => {
  const sent: unknown[] = [];
  const phase = events.reduce<Phase>((phase, event) => {
    const next = step(phase, event);
    if (next.send !== undefined) sent.push(next.send);
    return next.phase;
  }, IDLE);
  return { phase, sent };
};

describe('a control', () => {
  it('shows what is wanted at once and confirms it when the board does', () => {
    const pressed = run({ type: 'press', value: 1 });
    expect(pressed.sent).toEqual([1]);
    expect(shown(pressed.phase, 0)).toBe(1);
    const stored = step(pressed.phase, { type: 'stored', version: 3, status: 'pending' }).phase;
    expect(stored).toEqual({ kind: 'pending', wanted: 1, version: 3 });
    const done = step(stored, hear({ version: 3, status: 'done', reported: 1 })).phase;
    expect(done.kind).toBe('confirmed');
    expect(step(done, { type: 'rest' }).phase).toEqual(IDLE);
  });

  it('rolls back with the reason when the server refuses', () => {
    const { phase } = run({ type: 'press', value: 1 }, { type: 'refused', reason: 'You may not control this device.' });
    expect(phase).toEqual({ kind: 'failed', reason: 'You may not control this device.' });
    expect(shown(phase, 0)).toBe(0);
  });

  it('rolls back when the wish expires', () => {
    const { phase } = run(
      { type: 'press', value: 1 },
      { type: 'stored', version: 2, status: 'pending' },
      hear({ version: 2, status: 'expired' }),
    );
    expect(phase.kind).toBe('failed');
  });

  it('rolls back with the words of the board that will not take it', () => {
    const { phase } = run(
      { type: 'press', value: 999 },
      { type: 'stored', version: 2, status: 'pending' },
      hear({ version: 2, status: 'refused', reason: 'a lamp has 0 to 100 %' }),
    );
    expect(phase).toEqual({ kind: 'failed', reason: 'The board refused it: a lamp has 0 to 100 %.' });
    expect(shown(phase, 35)).toBe(35);
  });

  it('says what the board did instead', () => {
    const { phase } = run(
      { type: 'press', value: 99 },
      { type: 'stored', version: 2, status: 'pending' },
      hear({ version: 2, status: 'done', reported: 30 }),
    );
    expect(phase).toEqual({ kind: 'failed', reason: 'The board set it to 30 instead.' });
  });

  it('ignores news about versions before its own', () => {
    const { phase } = run(
      { type: 'press', value: 1 },
      { type: 'stored', version: 5, status: 'pending' },
      hear({ version: 4, status: 'done', reported: 0 }),
      hear({ version: 4, status: 'expired' }),
    );
    expect(phase.kind).toBe('pending');
  });

  it('sends one at a time and then only the newest', () => {
    const { phase, sent } = run(
      { type: 'press', value: 10 },
      { type: 'press', value: 20 },
      { type: 'press', value: 30 },
      { type: 'stored', version: 1, status: 'pending' },
    );
    expect(sent).toEqual([10, 30]);
    expect(phase).toEqual({ kind: 'sending', sent: 30, wanted: 30, more: false });
  });

  it('sends what was wanted after a refused value', () => {
    const { sent } = run(
      { type: 'press', value: 200 },
      { type: 'press', value: 50 },
      { type: 'refused', reason: 'must lie between 0 and 100' },
    );
    expect(sent).toEqual([200, 50]);
  });

  it('is not moved by old news while its own request is under way', () => {
    const { phase } = run({ type: 'press', value: 1 }, hear({ version: 7, status: 'done', reported: 0 }));
    expect(phase.kind).toBe('sending');
  });

  it('follows somebody else who wants something', () => {
    const { phase } = run(hear({ version: 8, status: 'offline', desired: 1 }));
    expect(phase).toEqual({ kind: 'pending', wanted: 1, version: 8 });
    expect(step(phase, hear({ version: 9, status: 'done', reported: 0 })).phase).toEqual(IDLE);
  });

  it('keeps a reason until the next touch', () => {
    const failed: Phase = { kind: 'failed', reason: 'no' };
    expect(step(failed, hear({ version: 1, status: 'done', reported: 0 })).phase).toBe(failed);
    expect(step(failed, { type: 'press', value: 1 }).phase.kind).toBe('sending');
  });
});

describe('same', () => {
  it('takes 1 for true and small floats for equal', () => {
    expect(same(1, true)).toBe(true);
    expect(same(0.1 + 0.2, 0.3)).toBe(true);
    expect(same('1', 1)).toBe(false);
    expect(same(undefined, null)).toBe(false);
  });
});
