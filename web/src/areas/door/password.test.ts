import { expect, test } from 'vitest';
import { rules, weakness } from './password';

const met = (text: string) =>
  rules(text)
    .filter((rule) => rule.met)
    .map((rule) => rule.id);

test('each rule is met by itself', () => {
  expect(met('')).toEqual([]);
  expect(met('a')).toEqual(['lower']);
  expect(met('aB3')).toEqual(['lower', 'upper', 'digit']);
  expect(met('Abcdefg1')).toHaveLength(4);
});

test('letters of every script count, and the length is that of the server: bytes', () => {
  expect(weakness('Äöüßabc1')).toBeUndefined();
  expect(weakness(`Aa1${'ü'.repeat(34)}`)).toBeUndefined();
  expect(weakness(`Aa1${'ü'.repeat(35)}`)).toBeDefined();
  expect(rules('x'.repeat(73))[0]?.label).toBe('At most 72 characters');
});
