import { expect, it } from 'vitest';
import { dropped, gather, lacks } from './files';

const file = (name: string, text = name): File => new File([text], name);
const part = (name: string) => ({ name, file: `${name}.bin`, offset: 0, size: 1 });
const json = (change: object = {}): File =>
  file(
    'kit.json',
    JSON.stringify({
      variant: 'base',
      chip: 'ESP32-C3',
      version: '0.1.0',
      parts: ['bootloader', 'partitions', 'app'].map(part),
      ...change,
    }),
  );
const bins = ['bootloader.bin', 'partitions.bin', 'app.bin'].map((name) => file(name));

it('finds a kit in everything that lies in its folder', async () => {
  const all = [...bins, file('merged.bin'), json(), file('app.bin.sig')];
  const kit = await gather(all);
  expect([kit.variant, kit.chip, kit.version]).toEqual(['base', 'ESP32-C3', '0.1.0']);
  expect(kit.parts.map(({ found }) => found?.name)).toEqual(['bootloader.bin', 'partitions.bin', 'app.bin']);
  expect(kit.signature?.name).toBe('app.bin.sig');
  expect(lacks(kit)).toBe('');
  expect(lacks({ ...kit, signature: file('app.bin.sig', 'x'.repeat(5000)) })).toMatch(/no signature/);
});

it('says which files are still missing', async () => {
  const kit = await gather([json(), bins[1]!]);
  expect(lacks(kit)).toBe('Still missing: bootloader.bin, app.bin. Choose what lies beside kit.json as well.');
});

it('refuses what is no kit, or several', async () => {
  await expect(gather(bins)).rejects.toThrow(/no kit.json/);
  await expect(gather([json(), json(), ...bins])).rejects.toThrow(/several kits/);
  const bad = [file('kit.json', 'null'), file('kit.json', '{'), json({ parts: [null] }), json({ variant: 7 })];
  for (const one of bad) await expect(gather([one, ...bins])).rejects.toThrow(/describes no kit/);
  await expect(gather([file('kit.json', ' '.repeat(70_000)), ...bins])).rejects.toThrow(/describes no kit/);
});

it('takes what is dropped: files, and those of a folder however many portions they come in', async () => {
  const entry = (one: File) => ({ isFile: true, isDirectory: false, file: (done: (file: File) => void) => done(one) });
  const deeper = { isFile: false, isDirectory: true };
  const portions = [[entry(bins[0]!), deeper], [entry(bins[1]!)], []];
  const reader = { readEntries: (done: (some: unknown[]) => void) => done(portions.shift()!) };
  const folder = { isFile: false, isDirectory: true, createReader: () => reader };
  const items = [folder, entry(json()), null].map((one) => ({ webkitGetAsEntry: () => one }));
  const found = await dropped({ items: items as unknown as DataTransferItemList });
  expect(found.map(({ name }) => name)).toEqual(['bootloader.bin', 'partitions.bin', 'kit.json']);
});
