// A person reads what a board prints and types to it.

import { readFileSync } from 'node:fs';
import { Chip } from './chip/chip';
import { Socket } from './chip/page';
import { expect, expectAccessible, signIn, test } from './fixtures';

/** A chip with something in its flash that starts and answers. */
function talking(): Chip {
  const chip = new Chip({ wiring: 'bridge' });
  const image = Buffer.alloc(32, 0);
  image[0] = 0xe9;
  image[12] = chip.model.chipId;
  chip.flash.program(0, image);
  const entry = Buffer.alloc(32, 0);
  entry.writeUInt16LE(0x50aa, 0);
  entry[3] = 0x10;
  entry.writeUInt32LE(0x10000, 4);
  entry.writeUInt32LE(0x1e0000, 8);
  entry.write('ota_0', 12);
  chip.flash.program(0x8000, entry);
  chip.flash.program(0x10000, image);
  chip.console = (line) =>
    ({
      help: ['help status provision reset'],
      wifi: ['Password, empty for an open network: '],
      status: ['\x1b[0;33mWi-Fi: not connected\x1b[0m'],
    })[line] ?? [`? ${line}`];
  return chip;
}

test('the monitor shows, filters, pauses, sends and keeps what a board says', async ({ page, demo }) => {
  const socket = await Socket.of(page);
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/firmware/monitor`);
  const chip = talking();
  socket.plug(chip);
  await page.getByRole('button', { name: 'Connect a board' }).click();
  await expect(page.getByText('Connected', { exact: true })).toBeVisible();
  const log = page.getByRole('log');

  await page.getByRole('button', { name: 'Reset board' }).click();
  await expect(log).toContainText('ESP-ROM:esp32c3');
  await expect(log).toContainText('Loaded app from partition at offset 0x10000');
  // Colours are colours, not letters.
  await expect(log.locator('.green', { hasText: 'I (24) boot: ESP-IDF 2nd stage bootloader' })).toBeVisible();
  await expect(log).not.toContainText('[0;32m');
  await expectAccessible(page);

  const line = page.getByLabel('Line to send');
  await line.fill('hello');
  await line.press('Enter');
  await expect(log).toContainText('? hello');
  await page.getByRole('button', { name: 'Send status' }).click();
  await expect(log.locator('.yellow', { hasText: 'Wi-Fi: not connected' })).toBeVisible();
  await line.press('ArrowUp');
  await expect(line).toHaveValue('hello');
  await line.fill('');

  await page.getByLabel('Only lines with').fill('WI-FI');
  await expect(log.getByText('Wi-Fi: not connected')).toBeVisible();
  await expect(log.getByText('? hello')).toBeHidden();
  await page.getByLabel('Only lines with').fill('');

  await page.getByRole('button', { name: 'Pause' }).click();
  chip.print('while nobody looked');
  await expect(page.getByText('Paused: 1 line came since.')).toBeVisible();
  await expect(log).not.toContainText('while nobody looked');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect(log).toContainText('while nobody looked');

  // Another speed is noise until both have it.
  await page.getByLabel('Baud rate').selectOption('9600');
  await expect(log).toContainText('Listening at 9600 baud');
  chip.print('too fast to be heard');
  chip.baud = 9600;
  chip.print('slow and clear');
  await expect(log).toContainText('slow and clear');
  await expect(log).not.toContainText('too fast');

  // What is secret is sent and not kept.
  await page.getByLabel('Secret').check();
  await line.fill('correct horse');
  await line.press('Enter');
  // The board repeats it; the log does not.
  await expect(log).toContainText('? •••');
  await page.getByLabel('Secret').uncheck();

  // Asked for a password by the board, the page hides it without being told.
  await line.fill('wifi');
  await line.press('Enter');
  await expect(page.getByLabel('Secret')).toBeChecked();
  await expect(line).toHaveAttribute('type', 'password');
  await line.fill('battery staple');
  await line.press('Enter');
  await expect(page.getByLabel('Secret')).not.toBeChecked();

  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  const text = readFileSync((await (await download).path())!, 'utf8');
  expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} > hello$/m);
  expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3}   while nobody looked$/m);
  expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3}   \? •••$/m);
  expect(text).not.toContain('correct horse');
  expect(text).not.toContain('battery staple');

  await socket.unplug();
  await expect(page.getByText('Unplugged', { exact: true })).toBeVisible();
  await expect(log).toContainText('The board was unplugged');
  await expect(page.getByRole('button', { name: 'Connect a board' })).toBeEnabled();
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(log).not.toContainText('hello');
});
