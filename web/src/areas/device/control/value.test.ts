import { expect, it } from 'vitest';
import { commandError, read, readParams, typeOf } from './value';

it('reads numbers as people type them', () => {
  expect(read('number', ' 21,5 ')).toEqual({ value: 21.5 });
  for (const wrong of ['', 'warm', '1e999']) expect(read('number', wrong)).toHaveProperty('error');
});

it('keeps texts as they are and knows on from off', () => {
  expect(read('text', ' a ')).toEqual({ value: ' a ' });
  expect([read('switch', 'true'), read('switch', 'false')]).toEqual([{ value: true }, { value: false }]);
});

it('reads documents, and only objects as parameters', () => {
  expect(read('json', '{"a":[1]}')).toEqual({ value: { a: [1] } });
  expect(read('json', 'null')).toHaveProperty('error');
  expect(read('json', '{')).toHaveProperty('error');
  expect(readParams('  ')).toEqual({ value: {} });
  expect(readParams('[1]')).toHaveProperty('error');
});

it('offers the type that the value has', () => {
  expect([typeOf(1), typeOf(true), typeOf('x'), typeOf([1]), typeOf(undefined)]).toEqual([
    'number',
    'switch',
    'text',
    'json',
    'number',
  ]);
});

it('knows names of commands', () => {
  expect(commandError('ota.start:now-1')).toBe('');
  for (const wrong of ['', 'two words', 'x'.repeat(65)]) expect(commandError(wrong)).not.toBe('');
});
