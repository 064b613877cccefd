import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { md5 } from './md5';

it('is the MD5 that everybody else computes, at every length around a block and for a whole image', () => {
  for (const length of [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 700_001]) {
    const data = randomBytes(length);
    expect(md5(data), `${length} bytes`).toBe(createHash('md5').update(data).digest('hex'));
  }
});
