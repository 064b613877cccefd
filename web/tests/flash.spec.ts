// A person flashes a board over USB. The board is a simulated chip (checked against esptool in chip.spec.ts) that lives by
// what it finds in its flash: it can only reach the server when everything was written right.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { settings } from './chip/app';
import { Chip } from './chip/chip';
import { living } from './chip/living';
import { C6 } from './chip/models';
import { Socket } from './chip/page';
import { expect, expectAccessible, openArea, signIn, test } from './fixtures';
import type { Server } from './server';
import type { Page } from '@playwright/test';

async function openPage(page: Page, demo: Server): Promise<Socket> {
  const socket = await Socket.of(page);
  await signIn(page, demo, 'demo');
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Flash a board' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Flash a board over USB' })).toBeVisible();
  return socket;
}

async function fill(page: Page, name: string): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Network name').fill('Farm "5G"');
  await page.getByLabel('Password', { exact: true }).fill('turnips & beets');
}

/** Both themes without a serious finding, and nothing that scrolls sideways on the smallest phone. */
async function expectGood(page: Page): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page);
  }
  const size = page.viewportSize()!;
  await page.setViewportSize({ width: 320, height: 800 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  await page.setViewportSize(size);
}

const connect = (page: Page): Promise<void> => page.getByRole('button', { name: 'Connect the board' }).click();
const write = (page: Page): Promise<void> => page.getByRole('button', { name: 'Write to the board' }).click();

// Bytes cross a bridge between browser and test, on machines that do other things too.
test.setTimeout(180_000);

test('a new board is flashed with firmware, identity and Wi-Fi, and reports for the first time', async ({
  page,
  demo,
}) => {
  const sent: string[] = [];
  page.on('request', (request) => sent.push(`${request.method()} ${request.url()} ${request.postData() ?? ''}`));
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  const socket = await openPage(page, demo);
  const chip = new Chip();
  const board = living(chip);
  // Another firmware was on it, which had chosen its second slot and queued values.
  chip.flash.bytes.set(randomBytes(0x2000), 0xd000);
  chip.flash.bytes.set(randomBytes(0x20000), 0x3d0000);
  socket.plug(chip);

  await expect(page.getByLabel('Firmware for the board')).toContainText('base for ESP32-C3');
  // What was not filled in is asked for at its field.
  await connect(page);
  await expect(page.getByText('ESP32-C3 (QFN32) (revision v0.4)')).toBeVisible();
  await expect(page.getByText('60:55:F9:01:02:03')).toBeVisible();
  await write(page);
  await expect(page.getByText('Give it a name, for example where it stands.')).toBeVisible();
  await expect(page.getByLabel('Name', { exact: true })).toBeFocused();
  await fill(page, 'Greenhouse south');
  await expectGood(page);
  await write(page);

  await expect(page.getByText('Greenhouse south is alive!')).toBeVisible({ timeout: 45_000 });
  await expect(page.getByRole('log')).toContainText('joined Farm "5G"');
  await expectGood(page);
  expect(board.failed).toEqual([]);

  // The flash holds the kit byte by byte, and the settings alone in their region.
  const token = await demo.login('demo');
  const { kits } = await demo.ask<{
    kits: { id: string; parts: { offset: number; size: number; sha256: string }[] }[];
  }>('GET', '/firmware/kits', token);
  for (const { offset, size, sha256 } of kits[0]!.parts) {
    expect(createHash('sha256').update(chip.flash.read(offset, size)).digest('hex')).toBe(sha256);
  }
  expect(chip.flash.read(0xd000, 0x2000).every((byte) => byte === 0xff)).toBe(true);
  expect(chip.flash.read(0x3d1000, 0x1f000).every((byte) => byte === 0xff)).toBe(true);
  const found = settings(chip.flash)!;
  expect(found).toMatchObject({
    v: 1,
    name: 'Greenhouse south',
    server: demo.url,
    networks: [{ ssid: 'Farm "5G"', password: 'turnips & beets' }],
    profile: 'esp32-c3-devkit',
    tz: 'STD-1DST,M3.5.0,M10.5.0/3',
  });
  expect(found.keys).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  await expect(page.getByText(found.portal)).toBeVisible();

  // The password and the token went to the board alone.
  const told = [...sent, ...said].join('\n');
  for (const secret of ['turnips', found.token, found.portal]) expect(told).not.toContain(secret);
  expect(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).not.toContain(
    'turnips',
  );

  await page.getByRole('link', { name: 'Open Greenhouse south' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Greenhouse south' })).toBeVisible();
});

test('a backup is the flash byte by byte, and goes back the same way', async ({ page, demo }) => {
  const socket = await openPage(page, demo);
  const chip = new Chip();
  chip.flash.bytes.set(randomBytes(0x90001), 0x1000);
  socket.plug(chip);
  await connect(page);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save a backup' }).click();
  await expect(page.getByRole('progressbar', { name: 'Backup' })).toBeVisible();
  const file = await download;
  expect(file.suggestedFilename()).toMatch(/^esp32-c3-6055f9010203-\d{4}-\d\d-\d\d\.bin$/);
  expect(readFileSync((await file.path())!).equals(Buffer.from(chip.flash.bytes))).toBe(true);
  expect(chip.flash.programmed).toBe(0);

  // What is written meanwhile is undone by putting it back; another file is not taken.
  const before = chip.flash.bytes.slice();
  chip.flash.erase(0, 0x80000);
  const back = page.getByLabel('Put a backup back');
  await back.setInputFiles({ name: 'notes.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(5000) });
  await page.getByRole('dialog').getByRole('button', { name: 'Put back' }).click();
  await expect(page.getByRole('alert')).toHaveText(/notes.bin has 5.0 kB, and the board’s flash 4.2 MB/);
  await back.setInputFiles((await file.path())!);
  await page.getByRole('dialog').getByRole('button', { name: 'Put back' }).click();
  await expect(page.getByText('is on the board again')).toBeVisible({ timeout: 60_000 });
  expect(Buffer.from(chip.flash.bytes).equals(Buffer.from(before))).toBe(true);
  // Nothing still has to be done: the board was let go and has started.
  await expect(page.getByRole('button', { name: 'Connect the board' })).toBeVisible();
  expect(chip.mode).toBe('nothing');
});

test('another chip, less flash and a locked board are refused before anything is written', async ({ page, demo }) => {
  const socket = await openPage(page, demo);
  const wrong = new Chip({ model: C6 });
  socket.plug(wrong);
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/This board has an ESP32-C6, and the firmware is for the ESP32-C3/);
  await expect(page.getByRole('button', { name: 'Write to the board' })).toBeHidden();
  await page.getByRole('button', { name: 'Disconnect' }).click();

  const small = new Chip({ flash: 0x200000 });
  socket.plug(small);
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/2 MB of flash, and the firmware needs 4 MB/);
  await page.getByRole('button', { name: 'Disconnect' }).click();

  const locked = new Chip();
  locked.loader.security.flags = 1;
  socket.plug(locked);
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/only starts firmware that its maker signed/);
  for (const chip of [wrong, small, locked]) expect(chip.flash.programmed).toBe(0);
});

test('a cable that is pulled in the middle: what is on the board is said, and it goes on with the same device', async ({
  page,
  demo,
}) => {
  const socket = await openPage(page, demo);
  const chip = new Chip();
  const board = living(chip);
  chip.flash.watch((programmed) => {
    if (programmed < 100_000) return;
    chip.flash.watch(undefined);
    void socket.unplug();
  });
  socket.plug(chip);
  await fill(page, 'Pulled');
  await connect(page);
  await write(page);
  await expect(page.getByRole('alert')).toHaveText(/It holds half a firmware and starts nothing, but it is not broken/);
  await expect(page.getByRole('alert')).toHaveText(/Plug it in again, connect it, and write again/);
  await expectGood(page);

  // Alone, it does not start what is only half there.
  socket.plug(chip);
  expect(chip.mode).toBe('nothing');
  await connect(page);
  await page.getByLabel('Name', { exact: true }).fill('Pulled and found');
  await write(page);
  await expect(page.getByText('Pulled and found is alive!')).toBeVisible({ timeout: 45_000 });
  expect(board.failed).toEqual([]);
  const token = await demo.login('demo');
  const names = (await demo.ask<{ name: string }[]>('GET', '/devices', token)).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('Pulled'))).toEqual(['Pulled and found']);
});

test('every reason why no board is connected says what to do', async ({ page, demo }) => {
  const socket = await openPage(page, demo);
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/No board was chosen.*another cable/);
  socket.choice = 'blocked';
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/blocks serial ports for this page. Allow them/);
  socket.choice = 'board';

  // A board without wires to its reset pins needs a finger.
  const bare = new Chip({ wiring: 'bare' });
  socket.plug(bare);
  await connect(page);
  await expect(page.getByRole('alert')).toHaveText(/Hold its BOOT button/, { timeout: 30_000 });
  bare.bootButton();
  await connect(page);
  await expect(page.getByText('ESP32-C3 (QFN32)')).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);

  // Where there is no Web Serial, the page says where there is.
  const other = await page.context().newPage();
  await other.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'serial'));
  await other.goto(`${demo.url}/ui/firmware/usb`);
  await expect(other.getByRole('alert')).toHaveText(/Open this page in Chrome or Edge on a computer/);
  await expect(other.getByRole('button', { name: 'Connect the board' })).toBeDisabled();
  const insecure = await page.context().newPage();
  await insecure.addInitScript(() => Object.defineProperty(window, 'isSecureContext', { value: false }));
  await insecure.goto(`${demo.url}/ui/firmware/usb`);
  await expect(insecure.getByRole('alert')).toHaveText(/Open this page by its https address, or as http:\/\/localhost/);
});

test('a device that is there already gets a new board', async ({ page, demo }) => {
  const token = await demo.login('demo');
  const old = await demo.ask<{ id: string; device_token: string }>('POST', '/devices', token, { name: 'Porch' });
  const socket = await openPage(page, demo);
  const chip = new Chip({ wiring: 'bridge' });
  const board = living(chip);
  socket.plug(chip);
  await page.getByLabel('Device').selectOption('Porch');
  await expect(page.getByText('a board that has the old one is shut out')).toBeVisible();
  await page.getByLabel('Network name').fill('Farm');
  await connect(page);
  await write(page);
  await expect(page.getByText('Porch is alive!')).toBeVisible({ timeout: 45_000 });
  expect(chip.fastest).toBe(460_800);
  expect(board.heard.at(-1)).toMatchObject({ device: old.id });
  const refused = await page.request.post(`${demo.url}/devices/${old.id}/telemetry`, {
    headers: { authorization: `Bearer ${old.device_token}` },
    data: { data: { rssi: 1 } },
  });
  expect(refused.status()).toBe(403);
});
