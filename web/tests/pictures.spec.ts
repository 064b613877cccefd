// Takes the pictures of docs/screenshots: every area, both themes, desk and phone. Run with `npm run pictures`; they
// are looked at by people, not compared by programs.

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, signIn, test } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));

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
