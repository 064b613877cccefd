import { expect, it } from 'vitest';
import { isSwitch, meaning, turned } from './switches';

it('knows switches by key and value', () => {
  expect(isSwitch('v0', 1)).toBe(true);
  expect(isSwitch('relay1', 0)).toBe(true);
  expect(isSwitch('anything', true)).toBe(true);
  expect(isSwitch('open', true)).toBe(false);
  expect(isSwitch('safe_mode', false)).toBe(false);
  expect(isSwitch('dht22_ok', true)).toBe(false);
  expect(isSwitch('temperature', 1)).toBe(false);
  expect(isSwitch('v0', 7)).toBe(false);
});

it('speaks the words of a key, and only of bits', () => {
  expect([meaning('v0', 1), meaning('door', 0), meaning('motion', true), meaning('temperature', 1)]).toEqual([
    'On',
    'Closed',
    'Detected',
    '1',
  ]);
  expect(meaning('v0', 7)).toBe('7');
});

it('turns a switch in the type its board speaks', () => {
  expect([turned(1, false), turned(true, false), turned(undefined, true)]).toEqual([0, false, 1]);
});
