// The page of kits: what there is to flash new boards with, brought in from the browser, chosen, and removed again.

import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, expectWellMade, openArea, signIn, test } from './fixtures';
import type { Server } from './server';

interface Kit {
  id: string;
  variant: string;
  parts: { name: string; offset: number; size: number; sha256: string }[];
}

/** Writes a sound kit into a folder: another app, with the other parts of the demo's own kit. */
async function build(demo: Server, token: string): Promise<string> {
  const { kits } = await demo.ask<{ kits: Kit[] }>('GET', '/firmware/kits', token);
  const known = kits.find(({ variant }) => variant === 'base')!;
  const folder = join(demo.data, 'garden-esp32c3');
  mkdirSync(folder);
  const app = join(folder, 'app.bin');
  execFileSync(process.env.ESPALIER_PROGRAM!, [
    ...['sim', 'firmware', '--chip', 'esp32c3', '--version', '2.0.0', '--out', app],
  ]);
  const parts = [];
  for (const { name, offset } of known.parts) {
    const file = `${name}.bin`;
    if (name !== 'app') {
      const answer = await fetch(`${demo.url}/firmware/kits/${known.id}/parts/${name}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      writeFileSync(join(folder, file), Buffer.from(await answer.arrayBuffer()));
    }
    const data = readFileSync(join(folder, file));
    const sha256 = createHash('sha256').update(data).digest('hex');
    parts.push({ name, file, offset, size: data.length, sha256 });
  }
  const kit = {
    ...{ format: 1, variant: 'garden', chip: 'ESP32-C3', project: 'simulated-board', version: '2.0.0' },
    ...{ flash_size: 4 << 20, parts, notes: 'Needs a pump on GPIO 4.' },
    ...{ settings: { offset: 0x3d_0000, size: 0x2_0000 }, otadata: { offset: 0xd000, size: 0x2000 } },
  };
  writeFileSync(join(folder, 'kit.json'), JSON.stringify(kit));
  // What a build leaves beside it and nobody needs here.
  writeFileSync(join(folder, 'merged.bin'), Buffer.alloc(1000));
  return folder;
}

test('a kit is added from its folder, seen, chosen for a board, and removed without a mouse', async ({
  page,
  demo,
}) => {
  const token = await demo.login('demo');
  const folder = await build(demo, token);
  const file = (name: string): string => join(folder, name);
  await signIn(page, demo, 'demo');
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Kits', exact: true }).click();
  const list = page.getByRole('list', { name: 'Kits' });
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await expect(list).toContainText('espalier-demo 0.0.0-demo');
  await expect(list).toContainText('by you');
  await expect(list).toContainText('Demo image: it does not run on a real board.');

  await page.getByRole('button', { name: 'Add a kit' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a kit' });
  const files = dialog.getByLabel('Files of the kit');
  const add = dialog.getByRole('button', { name: 'Add to library' });
  await files.setInputFiles(file('app.bin'));
  await expect(dialog.getByRole('alert')).toHaveText(/no kit.json among these files/);
  await files.setInputFiles(file('kit.json'));
  await expect(dialog.getByText('garden for ESP32-C3')).toBeVisible();
  await expect(dialog.getByRole('alert')).toHaveText(/Still missing: bootloader.bin, partitions.bin, app.bin/);
  await expect(add).toBeDisabled();
  await files.setInputFiles(['bootloader.bin', 'partitions.bin', 'app.bin', 'merged.bin'].map(file));
  await expect(dialog.getByRole('alert')).toHaveCount(0);

  // Nobody vouches for it yet; what to do is said with the command for it.
  await add.click();
  await expect(dialog.getByRole('alert')).toHaveText(/takes only signed firmware/);
  await expect(dialog.getByText('espalier firmware sign app.bin --key release.key')).toBeVisible();
  await expectWellMade(page);
  const key = join(demo.data, 'demo-signing.key');
  execFileSync(process.env.ESPALIER_PROGRAM!, ['firmware', 'sign', file('app.bin'), '--key', key]);
  await files.setInputFiles(file('app.bin.sig'));
  await expect(dialog.getByText('With signature')).toBeVisible();
  await add.click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText('garden for ESP32-C3, 2.0.0 is in the library.')).toBeVisible();
  await expect(list).toContainText('Needs a pump on GPIO 4.');

  await page.getByRole('searchbox', { name: 'Find a kit' }).fill('garden');
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await list.getByRole('button', { name: 'garden for ESP32-C3', exact: true }).click();
  const details = page.getByRole('dialog', { name: 'garden for ESP32-C3' });
  await expect(details.getByRole('row', { name: /0x10000 app/ })).toBeVisible();
  await expect(details.getByRole('row', { name: /0x3d0000 settings of the board/ })).toBeVisible();
  await expectWellMade(page);
  const download = page.waitForEvent('download');
  await details.getByRole('link', { name: 'Download app' }).click();
  expect(readFileSync(await (await download).path()).equals(readFileSync(file('app.bin')))).toBe(true);
  await page.keyboard.press('Escape');

  await list.getByRole('link', { name: 'Flash a board with garden for ESP32-C3, 2.0.0' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Flash a board over USB' })).toBeVisible();
  const chosen = page.getByLabel('Firmware for the board').locator('option:checked');
  await expect(chosen).toHaveText('garden for ESP32-C3 · simulated-board 2.0.0');
  // What the pins of a board can be is said in words, and pin by pin.
  await page.getByLabel('What is on its pins').selectOption('esp32-c3-things');
  await expect(page.getByText('LED, button, 5 switches (v0 to v4), DHT22.')).toBeVisible();
  await page.getByText('Pin by pin').click();
  await expect(page.getByRole('definition').filter({ hasText: 'switch v4' })).toBeVisible();
  await expectWellMade(page);

  await page.goBack();
  const change = page.getByRole('button', { name: 'Change garden for ESP32-C3, 2.0.0' });
  await change.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem', { name: 'Details' })).toBeFocused();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  const sure = page.getByRole('dialog', { name: 'Remove garden for ESP32-C3, 2.0.0?' });
  await sure.getByRole('button', { name: 'Remove kit' }).focus();
  await page.keyboard.press('Enter');
  await expect(sure).toBeHidden();
  await expect(page.getByText('garden for ESP32-C3, 2.0.0 removed')).toBeVisible();
  await expect(list.getByRole('listitem')).toHaveCount(1);
  // Its app stays.
  await page.getByRole('link', { name: 'Images', exact: true }).click();
  await expect(page.getByRole('button', { name: 'simulated-board 2.0.0', exact: true })).toBeVisible();
});
