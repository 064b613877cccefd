// Our firmware as it was built, all the way: imported by the command line, chosen in the browser, written over USB with
// identity and Wi-Fi. What is on the chip afterwards is what the build made, by the word of esptool, too.
//
// ESPALIER_KIT names the folder of the kit. `cargo xtask test` sets it after it has built the firmware.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settings } from './chip/app';
import { Chip } from './chip/chip';
import { esptool } from './chip/esptool';
import { living } from './chip/living';
import { Socket } from './chip/page';
import { serve } from './chip/tcp';
import { expect, expectWellMade, openArea, signIn, test } from './fixtures';
import { PASSWORD, Server } from './server';

const KIT = process.env.ESPALIER_KIT;
const NO_KIT =
  'there is no kit; build one with `cargo xtask firmware --variant base --chip esp32c3` and name its folder in ESPALIER_KIT';

interface KitFile {
  variant: string;
  version: string;
  chip: string;
  project: string;
  parts: { name: string; file: string; offset: number; size: number }[];
  settings: { offset: number; size: number };
  otadata: { offset: number; size: number };
}

test('our firmware goes from the build over the library onto a board', async ({ page }) => {
  // The reporter does not say why a story was skipped.
  if (!KIT) console.log(`skipped: ${NO_KIT}`);
  test.skip(!KIT, NO_KIT);
  // A megabyte crosses the bridge between browser and test.
  test.setTimeout(300_000);
  const kit = JSON.parse(readFileSync(join(KIT!, 'kit.json'), 'utf8')) as KitFile;
  const folder = mkdtempSync(join(tmpdir(), 'espalier-kit-'));
  const espalier = (...args: string[]): string =>
    execFileSync(process.env.ESPALIER_PROGRAM!, args, { encoding: 'utf8', env: { PATH: process.env.PATH } });

  // A new installation, whose owner made a pair of keys.
  const server = await new Server('serve').start();
  const setup = { token: new URL(server.link).searchParams.get('token'), email: 'ada@example.com', username: 'ada' };
  await server.ask('POST', '/setup', '', { ...setup, password: PASSWORD });
  const token = await server.login('ada');
  espalier('firmware', 'keygen', '--out', join(folder, 'release'));
  const key = readFileSync(join(folder, 'release.pub'), 'utf8');
  await server.ask('POST', '/firmware/keys', token, { name: 'Release', public_key: key });

  const socket = await Socket.of(page);
  await signIn(page, server, 'ada');
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Kits', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'No kits yet' })).toBeVisible();
  await expect(page.getByText('espalier firmware import firmware/dist --key release.key')).toBeVisible();
  await expectWellMade(page);

  const name = `${kit.variant} ${kit.version} for ${kit.chip}`;
  const said = espalier('firmware', 'import', KIT!, '--key', join(folder, 'release.key'), '--data', server.data);
  expect(said).toContain(`${name} is in the library now`);
  await page.reload();
  await expect(page.getByRole('list', { name: 'Kits' })).toContainText(`${kit.project} ${kit.version}`);
  await page.getByRole('link', { name: `Flash a board with ${kit.variant} for ${kit.chip}` }).click();
  await expect(page.getByLabel('Firmware for the board')).toContainText(`${kit.variant} for ${kit.chip}`);

  const chip = new Chip();
  const board = living(chip);
  // It is not new: everything of what it was must be gone where the kit has something to say.
  chip.flash.bytes.fill(0x5a);
  socket.plug(chip);
  await page.getByLabel('Name', { exact: true }).fill('Greenhouse north');
  await page.getByLabel('Network name').fill('Farm');
  await page.getByLabel('Password', { exact: true }).fill('turnips & beets');
  await page.getByRole('button', { name: 'Connect the board' }).click();
  await page.getByRole('button', { name: 'Write to the board' }).click();
  await expect(page.getByText('Greenhouse north is alive!')).toBeVisible({ timeout: 240_000 });
  expect(board.failed).toEqual([]);

  // Each file as the build wrote it, and the settings and the choice of app as a new board needs them.
  const file = (one: string): Buffer => readFileSync(join(KIT!, one));
  for (const part of kit.parts) {
    expect(part.size).toBeGreaterThan(0);
    expect(Buffer.compare(chip.flash.read(part.offset, part.size), file(part.file)), part.name).toBe(0);
  }
  expect(chip.flash.read(kit.otadata.offset, kit.otadata.size).every((byte) => byte === 0xff)).toBe(true);
  const [device] = await server.ask<{ id: string; name: string }[]>('GET', '/devices', token);
  expect(settings(chip.flash)).toMatchObject({
    v: 1,
    name: 'Greenhouse north',
    device: device!.id,
    server: server.url,
    networks: [{ ssid: 'Farm', password: 'turnips & beets' }],
    keys: [Buffer.from(/^key:(\S+)$/m.exec(key)![1]!, 'base64').toString('hex')],
  });

  // The tool that everybody flashes with finds the same.
  if (process.env.ESPTOOL) {
    chip.bootButton();
    const { port, stop } = await serve(chip);
    const places = kit.parts.flatMap((part) => [`0x${part.offset.toString(16)}`, join(KIT!, part.file)]);
    const verified = await esptool(port, ['--chip', 'esp32c3', 'verify-flash', ...places]);
    expect(verified.match(/digest matched/gi)).toHaveLength(kit.parts.length);
    chip.bootButton();
    const back = join(folder, 'settings.bin');
    const region = [String(kit.settings.offset), String(kit.settings.size)];
    await esptool(port, ['--chip', 'esp32c3', 'read-flash', ...region, back]);
    const { offset, size } = kit.settings;
    expect(Buffer.compare(readFileSync(back), chip.flash.read(offset, size))).toBe(0);
    expect(readFileSync(back, 'latin1')).toContain('Greenhouse north');
    await stop();
  }
  rmSync(folder, { recursive: true });
  await server.stop();
});
