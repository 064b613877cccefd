// One board gets one image, from its own page: chosen, watched on its way, and running.

import { demoOfItsOwn, expect, expectWellMade, openArea, test } from './fixtures';

interface Board {
  id: string;
  name: string;
  facts?: { chip?: string };
}

test('an image is installed on one board, and the page follows it until the board runs it', async ({ page }) => {
  test.setTimeout(180_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  const devices = await demo.ask<Board[]>('GET', '/devices', token);
  const running = async (id: string): Promise<string> => {
    const { version, chip } = await demo.ask<Record<string, string>>('GET', `/devices/${id}/firmware`, token);
    return `${version} ${chip}`;
  };
  await expect
    .poll(async () => (await Promise.all(devices.map(({ id }) => running(id)))).filter((one) => /^1\.0\.0/.test(one)))
    .toHaveLength(devices.length);
  const all = await Promise.all(devices.map(({ id }) => running(id)));
  const board = devices[all.indexOf('1.0.0 esp32c3')]!;

  await openArea(page, 'Devices');
  await page.getByRole('link', { name: board.name }).first().click();
  await page.getByRole('navigation', { name: 'Parts of this device' }).getByRole('link', { name: 'Firmware' }).click();
  await expect(page.getByText('simulated-board 1.0.0')).toBeVisible();
  await page.getByRole('button', { name: 'Install an image' }).click();
  const dialog = page.getByRole('dialog', { name: 'Install an image' });
  const image = dialog.getByRole('combobox', { name: 'Image' });
  // Only what fits its chip is offered.
  await expect(image.getByRole('option', { name: '1.1.0 (ESP32-C3)' })).toHaveCount(1);
  for (const option of await image.getByRole('option').all()) await expect(option).toContainText('ESP32-C3');
  await expectWellMade(page);
  await image.selectOption({ label: 'simulated-board 1.1.0 (ESP32-C3)' });
  await page.evaluate(() => ((window as unknown as { untouched: boolean }).untouched = true));
  await dialog.getByRole('button', { name: 'Install' }).click();
  await expect(dialog).toBeHidden();

  // The bar moves: at least two different places of it are seen.
  const bar = page.getByRole('progressbar', { name: 'Download' });
  await expect(bar).toBeVisible({ timeout: 30_000 });
  const first = Number(await bar.getAttribute('value'));
  await expect.poll(async () => Number(await bar.getAttribute('value'))).toBeGreaterThan(first);
  await expect(page.getByText('1.0.0 → 1.1.0')).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText('simulated-board 1.1.0')).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole('heading', { name: 'On its way' })).toBeHidden();
  const updates = page.getByRole('listitem').filter({ hasText: '1.0.0 → 1.1.0' });
  await expect(updates.getByText('Healthy')).toBeVisible();
  expect(await page.evaluate(() => (window as unknown as { untouched?: boolean }).untouched)).toBe(true);
  await expectWellMade(page);

  // The others run what they ran.
  const after = await Promise.all(devices.map(({ id }) => running(id)));
  expect(after.filter((one) => one.startsWith('1.1.0'))).toEqual(['1.1.0 esp32c3']);
  expect(after[devices.indexOf(board)]).toBe('1.1.0 esp32c3');
  await demo.stop();
});
