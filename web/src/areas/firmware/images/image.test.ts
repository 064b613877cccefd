import { describe, expect, it } from 'vitest';
import { chipName, contents, factRows, siblings, signatureState, type Firmware } from './image';

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
  it('names each project of a release once', () => {
    const images = ['esp32', 'esp32c3'].map((chip) => ({ project: 'plug', chip }));
    expect(contents([...images, { project: 'lamp', chip: 'esp32c6' }])).toBe(
      'plug for ESP32, ESP32-C3; lamp for ESP32-C6',
    );
  });
  it('finds what was built together', () => {
    const image = (id: string, chip: string, version = '1.0.0', installable = true) =>
      ({ id, chip, version, installable, project: 'plug' }) as Firmware;
    const one = image('a', 'esp32');
    const all = [one, image('b', 'esp32c3'), image('c', 'esp32c3'), image('d', 'esp32c6', '2.0.0')];
    expect(siblings(one, [...all, image('e', 'esp32s3', '1.0.0', false)]).map(({ id }) => id)).toEqual(['a', 'b']);
  });
});
