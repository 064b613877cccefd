import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { checked, choices, misfit, pieces, type Kit } from './kit';
import type { Settings } from './record';

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
const part = (name: string, offset: number): Kit['parts'][number] => ({
  name,
  offset,
  size: name.length,
  sha256: createHash('sha256').update(name).digest('hex'),
});
const kit = (change: Partial<Kit>): Kit => ({
  id: 'k',
  owner_id: 'o',
  created_by: 'o',
  variant: 'base',
  chip: 'ESP32-C3',
  project: 'espalier',
  version: '0.1.0',
  notes: '',
  flash_size: 0x400000,
  parts: [part('bootloader', 0), part('partitions', 0x8000), part('app', 0x10000)],
  settings: { offset: 0x3d0000, size: 0x20000 },
  otadata: { offset: 0xd000, size: 0x2000 },
  created_at: '2026-01-01T00:00:00Z',
  ...change,
});
const facts = { chip: 'ESP32-C3', description: '', mac: '', flash: 0x400000 };

it('is refused by a board of another chip or with too little flash, with what to do', () => {
  expect(misfit(kit({}), facts)).toBeUndefined();
  expect(misfit(kit({}), { ...facts, flash: 0x800000 })).toBeUndefined();
  expect(misfit(kit({}), { ...facts, chip: 'ESP32-C6' })?.message).toBe(
    'This board has an ESP32-C6, and the firmware is for the ESP32-C3: it would not start. Choose firmware for the ESP32-C6, or connect another board.',
  );
  expect(misfit(kit({}), { ...facts, flash: 0x200000 })?.message).toContain(
    '2 MB of flash, and the firmware needs 4 MB',
  );
});

it('comes with those for the board first, the newest of each first', () => {
  const list = [
    kit({ id: 'old', created_at: '2025-01-01T00:00:00Z' }),
    kit({ id: 'full', variant: 'full' }),
    kit({ id: 'c6', chip: 'ESP32-C6' }),
    kit({ id: 'new' }),
  ];
  expect(choices(list, 'ESP32-C6').map(({ id }) => id)).toEqual(['c6', 'new', 'old', 'full']);
});

it('is not written when a file came damaged', async () => {
  expect((await checked(part('app', 0x10000), bytes('app').buffer)).data).toEqual(bytes('app'));
  await expect(checked(part('app', 0x10000), bytes('apq').buffer)).rejects.toThrow(
    /app that came from the server is damaged/,
  );
  await expect(checked(part('app', 0x10000), bytes('').buffer)).rejects.toThrow(/damaged/);
});

it('is written so that nothing half written starts: the bootloader last', () => {
  const parts = kit({}).parts.map(({ name, offset }) => ({ name, offset, data: bytes(name) }));
  const settings = { name: 'Kitchen', keys: [], networks: [] } as unknown as Settings;
  const all = pieces(kit({}), parts, settings);
  expect(all.map(({ name }) => name)).toEqual(['app', 'settings', 'choice of app', 'partitions', 'bootloader']);
  expect(all.map(({ offset }) => offset)).toEqual([0x10000, 0x3d0000, 0xd000, 0x8000, 0]);
  expect(all[2]?.data.every((byte) => byte === 0xff)).toBe(true);
});
