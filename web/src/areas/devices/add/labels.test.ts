import { expect, it } from 'vitest';
import { interval, labels, labelsError } from './labels';

it('reads labels', () => {
  expect(labels(' roof, , outdoor ,roof')).toEqual(['roof', 'outdoor']);
  expect(labelsError(['x'.repeat(51)], 'tags')).not.toBe('');
  expect(labelsError(['x'.repeat(50)], 'tags')).toBe('');
});

it('reads intervals', () => {
  expect(interval('')).toEqual({ value: null });
  expect(interval('60')).toEqual({ value: 60 });
  for (const wrong of ['0', '1.5', 'x', '2592001']) expect(interval(wrong)).toHaveProperty('error');
});
