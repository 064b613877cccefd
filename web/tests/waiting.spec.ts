// An old board that names itself without a secret waits until an admin says whose it is; on a phone, too.

import { expect, openArea, signIn, test } from './fixtures';

test('a waiting board is claimed from a phone, and what is rare stands behind More', async ({ page, demo }) => {
  const board = {
    device_id: 'esp32-attic-01',
    device_name: 'Attic',
    occupation: 'Weather',
    device_type: 'ESP32_OTA_Base',
  };
  await demo.ask('POST', '/api/devices/register', '', board);
  await page.setViewportSize({ width: 390, height: 844 });
  await signIn(page, demo, 'demo');
  await openArea(page, 'Devices');
  await page.getByRole('link', { name: 'One board waits to be claimed' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Waiting boards' })).toBeVisible();
  await page.getByRole('button', { name: 'Claim esp32-attic-01' }).click();
  const dialog = page.getByRole('dialog', { name: 'Claim this board' });
  await dialog.getByLabel('Name').fill('Attic weather');
  await dialog.getByRole('button', { name: 'Claim' }).click();
  await page.getByRole('link', { name: 'Show the device' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Attic weather' })).toBeVisible();

  await page.getByRole('navigation', { name: 'Main' }).getByRole('button', { name: 'More' }).click();
  const more = page.getByRole('dialog', { name: 'More' });
  await expect(more.getByRole('link', { name: 'Admin' })).toBeVisible();
  await more.getByRole('link', { name: 'Settings' }).click();
  await expect(more).toBeHidden();
  await expect(page.getByRole('heading', { level: 1, name: 'Settings' })).toBeVisible();
});
