import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MAX_PAYLOAD, payload, region, SECTOR, sector, type Settings } from './record';

// The same files that the firmware's tests read.
const golden = (end: string): Buffer =>
  readFileSync(
    fileURLToPath(new URL(`../../../../../crates/espalier-device/tests/data/settings-record.${end}`, import.meta.url)),
  );
const settings = JSON.parse(golden('json').toString()) as Settings & { v: number };

describe('the settings record', () => {
  it('is byte for byte the one that the firmware reads', () => {
    expect(Buffer.from(payload(settings)).toString()).toBe(golden('json').toString());
    expect(Buffer.from(sector(payload(settings), 1)).equals(golden('bin'))).toBe(true);
  });

  it('leaves out what is not set', () => {
    const { ca: _ca, tz: _tz, ...rest } = settings;
    const text = Buffer.from(payload(rest)).toString();
    expect(text).not.toContain('"ca"');
    expect(text).not.toContain('"tz"');
    expect(JSON.parse(text)).toMatchObject({ v: 1, keys: settings.keys });
  });

  it('erases all else of its region', () => {
    const bytes = region(settings, 0x20000);
    expect(bytes.length).toBe(0x20000);
    expect(Buffer.from(bytes.subarray(0, SECTOR)).equals(golden('bin'))).toBe(true);
    expect(bytes.subarray(SECTOR).every((byte) => byte === 0xff)).toBe(true);
  });

  it('refuses what a board would not keep', () => {
    expect(() => sector(new Uint8Array(MAX_PAYLOAD), 1)).not.toThrow();
    expect(() => sector(new Uint8Array(MAX_PAYLOAD + 1), 1)).toThrow(/2049 bytes, and a board keeps 2048/);
  });
});
