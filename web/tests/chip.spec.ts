// Espressif's own esptool speaks with the simulated chip as with a real one, with and without its stub: what the stories
// flash is what the tool that everybody uses would have flashed. No browser takes part.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { Chip } from './chip/chip';
import { esptool } from './chip/esptool';
import { C3, C6 } from './chip/models';
import { serve } from './chip/tcp';

for (const model of [C3, C6]) {
  for (const stub of [true, false]) {
    test(`esptool and the simulated ${model.name}, ${stub ? 'with' : 'without'} the stub`, async () => {
      test.setTimeout(180_000);
      const folder = mkdtempSync(join(tmpdir(), 'espalier-chip-'));
      const chip = new Chip({ model });
      chip.flash.bytes.set(randomBytes(0x2000), 0x10_0000);
      chip.bootButton();
      const { port, stop } = await serve(chip);
      const loader = ['--chip', model.name.toLowerCase().replace('-', ''), ...(stub ? [] : ['--no-stub'])];
      const run = (...args: string[]): Promise<string> => {
        // As a person would: BOOT and RESET before each command.
        chip.bootButton();
        return esptool(port, [...loader, ...args]);
      };

      // Half of it deflates well, half not at all; the length is not one of sectors.
      const image = Buffer.concat([Buffer.alloc(40_000, 'espalier'), randomBytes(20_003)]);
      const file = join(folder, 'image.bin');
      writeFileSync(file, image);

      const about = await run('chip-id');
      expect(about).toContain(model.name);
      expect(about.toLowerCase()).toContain('60:55:f9:01:02:03');
      const id = await run('flash-id');
      expect(id).toContain('Manufacturer: ef');
      expect(id).toContain('Device: 4016');
      expect(id).toContain('4MB');
      expect(await run('get-security-info')).toMatch(new RegExp(`Chip ID: ${model.chipId}\\b`));

      expect(await run('write-flash', '0x20000', file)).toContain('Hash of data verified');
      expect(Buffer.from(chip.flash.read(0x2_0000, image.length)).equals(image)).toBe(true);
      // Sectors are erased whole, and their neighbours are left alone.
      expect(chip.flash.read(0x2_0000 + image.length, 0x100).every((byte) => byte === 0xff)).toBe(true);
      expect(await run('write-flash', '--no-compress', '0x40000', file)).toContain('Hash of data verified');
      expect(Buffer.from(chip.flash.read(0x4_0000, image.length)).equals(image)).toBe(true);

      expect(await run('verify-flash', '0x20000', file)).toMatch(/digest matched/i);
      // One wrong bit is found.
      chip.flash.bytes[0x2_0000 + 5000]! ^= 1;
      await expect(run('verify-flash', '0x20000', file)).rejects.toThrow(/differ|mismatch|failed/i);

      const back = join(folder, 'back.bin');
      const size = stub ? 0x10_0000 : 0x1000;
      await run('read-flash', '0x100000', String(size), back);
      expect(readFileSync(back).equals(Buffer.from(chip.flash.read(0x10_0000, size)))).toBe(true);

      if (stub) {
        await run('erase-region', '0x100000', '0x1000');
        expect(chip.flash.read(0x10_0000, 0x1000).every((byte) => byte === 0xff)).toBe(true);
        expect(chip.flash.read(0x10_1000, 0x1000).some((byte) => byte !== 0xff)).toBe(true);
        await run('--baud', '921600', 'read-flash', '0x20000', '0x1000', back);
        expect(chip.fastest).toBe(921_600);
        await run('erase-flash');
        expect(chip.flash.bytes.every((byte) => byte === 0xff)).toBe(true);
      }
      await stop();
      rmSync(folder, { recursive: true });
    });
  }
}

test('the tool is refused by a simulated chip of another kind', async () => {
  const chip = new Chip({ model: C6 });
  chip.bootButton();
  const { port, stop } = await serve(chip);
  await expect(esptool(port, ['--chip', 'esp32c3', 'flash-id'])).rejects.toThrow(/This chip is ESP32-C6, not ESP32-C3/);
  await stop();
});
