import { describe, expect, it } from 'vitest';
import type { Json } from '$/api/client';
import type { Plan, Rollout } from './rollout';
import { conditionsOf, fieldsOf, fresh, mayChange, planOf, targetOf, textOfWaves, wavesOf } from './plan';

describe('a plan as people write it', () => {
  it('reads waves', () => {
    expect(wavesOf('1 board, 5%, 100 %').waves).toEqual([{ count: 1 }, { percent: 5 }, { percent: 100 }]);
    expect(wavesOf('group: lab, 3 devices').waves).toEqual([{ group: 'lab' }, { count: 3 }]);
    expect(wavesOf('half').wrong).toMatch(/is no wave/);
    expect(wavesOf('120 %').wrong).toMatch(/1 % to 100 %/);
    expect(wavesOf(' , ').wrong).toMatch(/at least one/);
  });
  it('joins conditions', () => {
    expect(targetOf([])).toBe('everything');
    expect(targetOf([{ kind: 'groups', not: false, text: ' lab, roof ' }])).toEqual({ groups: ['lab', 'roof'] });
    expect(
      targetOf([
        { kind: 'version', not: false, text: '< 2.0.0' },
        { kind: 'tags', not: true, text: 'keep' },
        { kind: 'name', not: false, text: '  ' },
      ]),
    ).toEqual({ and: [{ version: '< 2.0.0' }, { not: { tags: ['keep'] } }] });
  });
  it('turns minutes into seconds and leaves out what is empty', () => {
    const plan = planOf(
      { ...fresh(), watchMinutes: 0.5, failCount: null, windows: [{ days: ['mon'], from: '02:00', to: '05:00' }] },
      [{ percent: 100 }],
    );
    expect(plan.health?.window_s).toBe(30);
    expect(plan.limit).toEqual({ count: null, percent: 5 });
    expect(plan.start_at).toBeNull();
    expect(plan.windows).toEqual([{ weekdays: ['mon'], from: '02:00', to: '05:00' }]);
  });
  it('reads a target back as conditions, and leaves alone what conditions cannot say', () => {
    const targets: Json[] = [
      'everything',
      { groups: ['lab', 'roof'] },
      { not: { tags: ['keep'] } },
      { and: [{ version: '< 2.0.0' }, { not: { name: 'balcony' } }] },
    ];
    for (const target of targets) expect(targetOf(conditionsOf(target) ?? [])).toEqual(target);
    expect(conditionsOf({ or: [{ chips: ['esp32'] }, { kinds: ['plug'] }] })).toBeUndefined();
    expect(conditionsOf({ groups: ['upstairs, left'] })).toBeUndefined();
    expect(conditionsOf({ and: [{ or: [] }] })).toBeUndefined();
  });
  it('writes waves as people do', () => {
    const text = '1 board, 3 boards, 10 %, group lab';
    expect(textOfWaves(wavesOf(text).waves ?? [])).toBe(text);
  });
  it('keeps of a plan what the form does not show', () => {
    const plan = {
      ...planOf({ ...fresh(), watchMinutes: 0.05, startAt: '2031-03-30T12:30' }, [{ percent: 100 }]),
      patience_s: 60,
      confirm_within_s: 90,
      wave_limit: { count: 2, percent: null },
      windows: [
        { weekdays: ['mon'], from: '22:00', to: '04:00' },
        { weekdays: [], from: '12:00', to: '13:00' },
      ],
      health: { window_s: 3, silence_s: 30, min_heap: 20_000, max_heap_loss_percent: null, telemetry: true },
    } as Plan;
    expect(planOf(fieldsOf(plan), plan.waves, plan)).toEqual(plan);
    expect(fieldsOf(plan).startAt).toBe('2031-03-30T12:30');
  });
});

describe('who may change what is planned', () => {
  const rollout = (state: string): Rollout => ({ state, created_by: 'ann', started_by: 'bob' }) as Rollout;
  it('is everybody until it runs, but not who approves it', () => {
    expect(mayChange(rollout('draft'), 'eve')).toBe(true);
    expect(mayChange(rollout('scheduled'), 'eve')).toBe(true);
    expect(mayChange(rollout('running'), 'ann')).toBe(false);
    expect(['ann', 'bob', 'eve'].map((me) => mayChange(rollout('awaiting_approval'), me))).toEqual([true, true, false]);
  });
});
