import { describe, expect, it } from 'vitest';
import { fresh, planOf, targetOf, wavesOf } from './plan';

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
    const plan = planOf({ ...fresh(), watchMinutes: 0.5, failCount: null, windowOn: true, days: ['mon'] }, [
      { percent: 100 },
    ]);
    expect(plan.health?.window_s).toBe(30);
    expect(plan.limit).toEqual({ count: null, percent: 5 });
    expect(plan.start_at).toBeNull();
    expect(plan.windows).toEqual([{ weekdays: ['mon'], from: '02:00', to: '05:00' }]);
  });
});
