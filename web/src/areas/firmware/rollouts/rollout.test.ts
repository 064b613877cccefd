import { describe, expect, it } from 'vitest';
import { reasonText, shares, stateOf, targetText, waveText, type Update } from './rollout';

const update = (state: string, health: string | null, way = 'forward') => ({ state, health, way }) as Update;

describe('words for rollouts', () => {
  it('reads targets as a person would say them', () => {
    expect(targetText('everything')).toBe('every device');
    expect(targetText({ devices: ['a', 'b'] })).toBe('2 chosen devices');
    expect(targetText({ and: [{ kinds: ['plug'] }, { not: { tags: ['keep', 'lab'] } }] })).toBe(
      'kind “plug”, and not tag “keep” or “lab”',
    );
    expect(targetText({ not: { or: [{ name: 'x' }, { version: '< 2.0.0' }] } })).toBe(
      'not (name contains “x”, or version < 2.0.0)',
    );
  });
  it('tells a confirmed board that is watched from a healthy and an unwell one', () => {
    expect(stateOf(update('trial', null))).toBe('trial');
    expect(stateOf(update('confirmed', 'watched'))).toBe('watched');
    expect(stateOf(update('confirmed', 'healthy'))).toBe('succeeded');
    expect(stateOf(update('confirmed', 'crash_loop'))).toBe('unwell');
    expect(stateOf(update('confirmed', null, 'back'))).toBe('succeeded');
  });
  it('keeps a sentence and explains a word', () => {
    expect(reasonText('no_server')).toMatch(/could not reach the server/);
    expect(reasonText('The camera is missing.')).toBe('The camera is missing.');
    expect(reasonText(null)).toBe('');
  });
  it('shares out a bar', () => {
    const counts = {
      members: 10,
      waiting: 5,
      under_way: 2,
      watched: 1,
      succeeded: 1,
      failed: 1,
      retried: 0,
      cancelled: 0,
    };
    const parts = shares(counts);
    expect(parts.map(({ part }) => part)).toEqual(['succeeded', 'watched', 'moving', 'failed', 'waiting']);
    expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(shares({ ...counts, members: 0, waiting: 0, under_way: 0, watched: 0, succeeded: 0, failed: 0 })).toEqual(
      [],
    );
  });
  it('names waves', () => {
    expect(waveText({ percent: 5 })).toBe('5 %');
    expect(waveText({ count: 1 })).toBe('1 device');
    expect(waveText({ group: 'lab' })).toBe('Group lab');
  });
});
