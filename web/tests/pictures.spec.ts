// Takes the pictures of docs/screenshots: every area, both themes, desk and phone. Run with `npm run pictures`; they
// are looked at by people, not compared by programs.

import { mkdirSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, signIn, test } from './fixtures';
import { FOLDER, picture } from './picture';
import type { Server } from './server';

const AREAS: [name: string, path: string][] = [
  ['home', '/'],
  ['devices', '/ui/devices'],
  ['add-device', '/ui/devices/new'],
  ['device', '/ui/devices/{lamp}'],
  ['history', '/ui/devices/{weather}/history?period=24h'],
  ['control', '/ui/devices/{lamp}/control'],
  ['dashboards', '/ui/dashboards'],
  ['dashboard', '/ui/dashboards/{dashboard}'],
  ['inbox', '/ui/notifications'],
  ['settings', '/ui/settings'],
  ['admin-users', '/ui/admin/users'],
  ['admin-rules', '/ui/admin/rules'],
  ['admin-health', '/ui/admin/health'],
];

interface Named {
  id: string;
  name: string;
}

test('pictures of every area @picture', async ({ page, demo }) => {
  test.setTimeout(300_000);
  mkdirSync(FOLDER, { recursive: true });
  await page.goto(demo.url);
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${FOLDER}sign-in-${colorScheme}.png` });
  }
  await signIn(page, demo, 'demo');
  const token = await demo.login('demo');
  const devices = await demo.ask<Named[]>('GET', '/devices', token);
  const [dashboard] = await demo.ask<Named[]>('GET', '/dashboards', token);
  const id = (name: string): string => devices.find((device) => device.name.includes(name))!.id;
  // A history worth looking at: a day of the weather station.
  const now = Date.now();
  const lines = Array.from({ length: 288 }, (_, i) => {
    const ts = now - (288 - i) * 300_000;
    const phase = ((ts % 86_400_000) / 86_400_000) * 2 * Math.PI;
    const values = [9 - 5 * Math.cos(phase - 0.6), 74 + 14 * Math.cos(phase - 0.4), 1013 + 3 * Math.sin(phase / 2)];
    return [ts, ...values.map((value) => value.toFixed(2))].join();
  });
  const weather = id('weather');
  const imported = await page.request.post(`${demo.url}/devices/${weather}/telemetry/import`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'text/csv' },
    data: `timestamp,temperature,humidity,pressure\n${lines.join('\n')}\n`,
  });
  expect(imported.status(), await imported.text()).toBe(200);

  for (const [name, path] of AREAS) {
    const where = path
      .replace('{lamp}', id('lamp'))
      .replace('{weather}', weather)
      .replace('{dashboard}', dashboard!.id);
    await page.goto(demo.url + where);
    await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toBeVisible();
    await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0);
    await page.waitForLoadState('load');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 1280, height: 800 });
      // A chart is drawn anew in the colours of the theme.
      if (name === 'history' || name === 'dashboard') await expect(page.locator('.uplot canvas').first()).toBeVisible();
      await page.screenshot({ path: `${FOLDER}${name}-${colorScheme}.png`, animations: 'disabled' });
    }
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: `${FOLDER}${name}-phone.png`, animations: 'disabled' });
    await page.setViewportSize({ width: 1280, height: 800 });
  }
});

/** Plans a rollout of a release and begins it. */
async function rollOut(page: Page, demo: Server, version: string, waves: string): Promise<void> {
  await page.goto(`${demo.url}/ui/firmware/releases`);
  await page.getByRole('link', { name: `Roll out ${version}` }).click();
  await page.getByRole('textbox', { name: 'Waves' }).fill(waves);
  await page.getByLabel('Watch each board').fill('0.1');
  // Without the board that sleeps most of the time.
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByRole('combobox', { name: 'What' }).selectOption('Chip');
  await page.getByLabel('Value').fill('esp32, esp32c3');
  await expect(page.getByRole('region', { name: 'Preview' }).getByRole('status')).toContainText('9 boards of 9');
  await page.evaluate(() => window.scrollTo(0, 0));
  await picture(page, 'rollout-plan');
  await page.getByRole('button', { name: 'Start rollout' }).click();
  await expect(page.getByRole('heading', { level: 1, name: version })).toBeVisible();
}

test('pictures of firmware on its way @picture', async ({ page, demo }) => {
  test.setTimeout(300_000);
  mkdirSync(FOLDER, { recursive: true });
  await signIn(page, demo, 'demo');
  const token = await demo.login('demo');
  const board = {
    device_id: 'esp32-attic-01',
    device_name: 'Attic',
    occupation: 'Weather',
    device_type: 'ESP32_OTA_Base',
  };
  await demo.ask('POST', '/api/devices/register', '', board);
  const devices = await demo.ask<Named[]>('GET', '/devices', token);
  const lamp = devices.find(({ name }) => name.includes('lamp'))!;
  const weather = devices.find(({ name }) => name.includes('weather'))!;

  const image = join(demo.data, 'greenhouse.bin');
  execFileSync(process.env.ESPALIER_PROGRAM!, [
    ...['sim', 'firmware', '--chip', 'esp32c3', '--version', '1.3.0', '--out', image],
  ]);
  execFileSync(process.env.ESPALIER_PROGRAM!, [
    ...['firmware', 'sign', image, '--key', join(demo.data, 'demo-signing.key')],
  ]);
  await page.goto(`${demo.url}/ui/firmware`);
  await page.getByRole('button', { name: 'Add firmware' }).click();
  await page.getByLabel('Image file').setInputFiles(image);
  await expect(page.getByText('Not signed', { exact: true })).toBeVisible();
  await picture(page, 'firmware-refused');
  await page.getByLabel('Image file').setInputFiles([image, `${image}.sig`]);
  await expect(page.getByRole('dialog').getByText('Signed by Demo')).toBeVisible();
  await picture(page, 'firmware-upload');
  await page.keyboard.press('Escape');

  await rollOut(page, demo, '1.2.0', '1 board, 25 %, 100 %');
  await expect(page.getByText('It stopped by itself.')).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole('region', { name: 'Why boards failed' })).toBeVisible();
  await picture(page, 'rollout-halted');

  await rollOut(page, demo, '1.1.0', '3 boards, 100 %');
  const cells = page.getByRole('region', { name: 'Boards' });
  await expect(cells.getByRole('button', { name: /: Healthy/ })).toHaveCount(3, { timeout: 60_000 });
  await expect(cells.getByRole('button', { name: /: Downloading/ }).first()).toBeVisible();
  await picture(page, 'rollout-running');
  await page.goto(`${demo.url}/ui/firmware/fleet`);
  await expect(page.getByRole('region', { name: 'Versions' })).toBeVisible();
  await picture(page, 'firmware-fleet');
  await page.goto(`${demo.url}/ui/firmware/rollouts`);
  await expect(page.getByText('Finished', { exact: true })).toBeVisible({ timeout: 120_000 });
  await picture(page, 'firmware-rollouts');

  const more: [name: string, path: string][] = [
    ['firmware-images', '/ui/firmware'],
    ['firmware-kits', '/ui/firmware/kits'],
    ['firmware-releases', '/ui/firmware/releases'],
    ['firmware-keys', '/ui/firmware/keys'],
    ['firmware-device', `/ui/devices/${lamp.id}/firmware`],
    ['screen', `/ui/devices/${weather.id}/screen`],
    ['devices-waiting', '/ui/devices/waiting'],
  ];
  for (const [name, path] of more) {
    await page.goto(demo.url + path);
    await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toBeVisible();
    await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0);
    if (name === 'screen') await expect(page.getByRole('img', { name: /What the screen shows/ })).toBeVisible();
    await page.waitForLoadState('networkidle');
    await picture(page, name);
  }
});
