import { expect, test } from 'vitest';
import { byVersion } from './versions';

test('images of one version count together, the most frequent first', () => {
  const images = [
    { version: '1.0.0', boards: 2 },
    { version: '1.1.0', boards: 5 },
    { version: '1.0.0', boards: 1 },
    { version: null, boards: 2 },
    { version: '0.9.0', boards: 0 },
  ];
  expect(byVersion(images, 10)).toEqual([
    { version: '1.1.0', boards: 5, share: 0.5 },
    { version: '1.0.0', boards: 3, share: 0.3 },
    { version: 'unknown version', boards: 2, share: 0.2 },
  ]);
});
