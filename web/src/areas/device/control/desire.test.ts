import { expect, it } from 'vitest';
import type { KeyState } from '$/api/client';
import { newer, phaseOf, shownValue } from './desire';

const state = (change: Partial<KeyState>): KeyState => ({ version: 1, reported_version: 0, ...change });

it('tells waiting from pending by whether the board is there', () => {
  expect(phaseOf(state({ status: 'pending' }), true)).toBe('pending');
  expect(phaseOf(state({ status: 'pending' }), false)).toBe('waiting');
  expect(phaseOf(state({ status: 'offline' }), true)).toBe('pending');
  expect(phaseOf(undefined, true)).toBe('none');
});

it('shows the wanted value only while it is wanted', () => {
  expect(shownValue(state({ status: 'pending', desired: 1 as never }), 0)).toBe(1);
  expect(shownValue(state({ status: 'expired', desired: 1 as never }), 0)).toBe(0);
  expect(shownValue(state({ status: 'done', desired: 1 as never, reported: 1 as never }), undefined)).toBe(1);
});

it('shows what the switch stays when the board refuses', () => {
  const refused = state({ version: 3, status: 'refused', desired: 900 as never, reason: 'too much' });
  expect(phaseOf(refused, true)).toBe('refused');
  expect(shownValue(refused, 35)).toBe(35);
  expect(newer(refused, state({ version: 3, status: 'pending' }))).toBe(refused);
});

it('never goes back to what was before the board confirmed', () => {
  const done = state({ version: 3, status: 'done' });
  expect(newer(done, state({ version: 3, status: 'pending' }))).toBe(done);
  expect(newer(done, state({ version: 4, status: 'pending' })).version).toBe(4);
  expect(newer(done, state({ version: 2, status: 'pending' }))).toBe(done);
});
