// Pictures of a board that is flashed over USB, and of the serial monitor.

import { mkdirSync } from 'node:fs';
import { Chip } from './chip/chip';
import { living } from './chip/living';
import { C6 } from './chip/models';
import { Socket } from './chip/page';
import { expect, signIn, test } from './fixtures';
import { FOLDER, picture } from './picture';

test('pictures of a board that is flashed @picture', async ({ page, demo }) => {
  test.setTimeout(300_000);
  mkdirSync(FOLDER, { recursive: true });
  const socket = await Socket.of(page);
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/firmware/usb`);
  const connect = page.getByRole('button', { name: 'Connect the board' });
  socket.plug(new Chip({ model: C6 }));
  await connect.click();
  await expect(page.getByRole('alert')).toContainText('This board has an ESP32-C6');
  await picture(page, 'flash-refused');
  await page.getByRole('button', { name: 'Disconnect' }).click();

  const chip = new Chip();
  living(chip);
  socket.plug(chip);
  await page.getByLabel('Name', { exact: true }).fill('Greenhouse south');
  await page.getByLabel('Network name').fill('Farm');
  await page.getByLabel('Password', { exact: true }).fill('turnips & beets');
  await connect.click();
  await expect(page.getByText('ESP32-C3 (QFN32)')).toBeVisible();
  await page.evaluate(() => window.scrollTo(0, 0));
  await picture(page, 'flash');

  chip.flash.watch((programmed) => {
    if (programmed < 150_000) return;
    chip.flash.watch(undefined);
    socket.hold(true);
  });
  await page.getByRole('button', { name: 'Write to the board' }).click();
  await expect.poll(() => chip.flash.programmed).toBeGreaterThan(150_000);
  await page.evaluate(() => window.scrollTo(0, 0));
  await picture(page, 'flash-writing');
  socket.hold(false);
  await expect(page.getByText('Greenhouse south is alive!')).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('log')).toContainText('server answered 200');
  await picture(page, 'flash-alive');

  await page.getByRole('link', { name: 'Open in the serial monitor' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Serial monitor' })).toBeVisible();
  await expect(page.getByText('Connected', { exact: true })).toBeVisible();
  await expect(page.getByRole('log')).toContainText('server answered 200');
  await picture(page, 'serial-monitor');
});
