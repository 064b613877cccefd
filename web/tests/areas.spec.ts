// Every area: nothing serious for axe in both themes, and nothing that scrolls sideways on a phone.

import { expect, expectAccessible, signIn, test } from './fixtures';

const AREAS: [name: string, path: string][] = [
  ['Home', '/'],
  ['Devices', '/ui/devices'],
  ['Add a device', '/ui/devices/new'],
  ['Claim', '/ui/devices/claim'],
  ['Device', '/ui/devices/{device}'],
  ['Device history', '/ui/devices/{device}/history'],
  ['Device control', '/ui/devices/{device}/control'],
  ['Device firmware', '/ui/devices/{device}/firmware'],
  ['Device screen', '/ui/devices/{device}/screen'],
  ['Device events', '/ui/devices/{device}/events'],
  ['Device settings', '/ui/devices/{device}/settings'],
  ['Device raw', '/ui/devices/{device}/raw'],
  ['Waiting boards', '/ui/devices/waiting'],
  ['Firmware', '/ui/firmware'],
  ['Kits', '/ui/firmware/kits'],
  ['Releases', '/ui/firmware/releases'],
  ['Rollouts', '/ui/firmware/rollouts'],
  ['New rollout', '/ui/firmware/rollouts/new'],
  ['Rollout', '/ui/firmware/rollouts/{rollout}'],
  ['What runs where', '/ui/firmware/fleet'],
  ['Signing keys', '/ui/firmware/keys'],
  ['Flash a board', '/ui/firmware/usb'],
  ['Serial monitor', '/ui/firmware/monitor'],
  ['Dashboards', '/ui/dashboards'],
  ['Dashboard', '/ui/dashboards/{dashboard}'],
  ['Inbox', '/ui/notifications'],
  ['Settings', '/ui/settings'],
  ['Sessions', '/ui/settings/sessions'],
  ['API keys', '/ui/settings/api-keys'],
  ['Admin users', '/ui/admin/users'],
  ['Admin rules', '/ui/admin/rules'],
  ['Admin audit', '/ui/admin/audit'],
  ['Admin health', '/ui/admin/health'],
];

test('every area is accessible in both themes and fits a phone', async ({ page, demo }) => {
  test.setTimeout(360_000);
  const token = await demo.login('demo');
  const [device] = await demo.ask<{ id: string }[]>('GET', '/devices', token);
  const [dashboard] = await demo.ask<{ id: string }[]>('GET', '/dashboards', token);
  // A rollout that has begun shows more than a draft.
  const [release] = await demo.ask<{ id: string }[]>('GET', '/releases', token);
  const body = { release_id: release!.id, target: 'everything', plan: { waves: [{ count: 1 }, { percent: 100 }] } };
  const rollout = await demo.ask<{ id: string }>('POST', '/rollouts', token, body);
  await demo.ask('POST', `/rollouts/${rollout.id}/start`, token);
  await signIn(page, demo, 'demo');
  for (const [name, path] of AREAS) {
    await test.step(name, async () => {
      const where = path
        .replace('{device}', device!.id)
        .replace('{dashboard}', dashboard!.id)
        .replace('{rollout}', rollout.id);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width: 1280, height: 800 });
        await page.goto(demo.url + where);
        await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toBeVisible();
        await expect(page.getByRole('status', { name: 'Loading' })).toHaveCount(0);
        await expectAccessible(page);
      }
      for (const width of [390, 320]) {
        await page.setViewportSize({ width, height: 844 });
        const inner = await page.evaluate(() => document.documentElement.scrollWidth);
        expect(inner, `${name} is no wider than ${width}`).toBeLessThanOrEqual(width);
      }
    });
  }
});

test('the doors are accessible in both themes', async ({ page, demo }) => {
  for (const path of ['/', '/ui/signup', '/ui/forgot', '/ui/reset?token=wrong']) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(demo.url + path);
      await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
      await expectAccessible(page);
    }
  }
});
