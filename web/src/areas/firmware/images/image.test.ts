import { describe, expect, it } from 'vitest';
import { chipName, factRows, signatureState } from './image';

describe('words for images', () => {
  it('names chips as their maker does, and unknown ones as they came', () => {
    expect(chipName('esp32c3')).toBe('ESP32-C3');
    expect(chipName('esp99')).toBe('esp99');
  });
  it('says who signed', () => {
    expect(signatureState({ state: 'trusted', key: 'ab', key_name: 'Release key' })).toEqual({
      kind: 'done',
      text: 'Signed by Release key',
    });
    expect(signatureState({ state: 'unsigned', key: null, key_name: null }).kind).toBe('idle');
    expect(signatureState({ state: 'retired', key: 'ab', key_name: 'old' }).kind).toBe('failed');
  });
  it('leaves out what an image does not say', () => {
    const rows = factRows({ min_chip_revision: 3, idf_version: '', secure_boot: { scheme: 'RSA-3072', blocks: 1 } });
    expect(rows).toEqual([
      { label: 'Oldest chip revision', text: 'v0.3' },
      { label: 'Secure Boot v2', text: 'RSA-3072, 1 signature block' },
    ]);
  });
});
