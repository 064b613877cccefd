// A person adds a device, copies its token, and sees its first telemetry arrive on the page.

import { expect, signIn, test } from './fixtures';

test('a new device is added and its first telemetry is seen', async ({ page, demo }) => {
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/devices/new`);
  await page.getByLabel('Name', { exact: true }).fill('Greenhouse');
  await page.getByRole('button', { name: 'Add device' }).click();

  // The snippet that a person copies is what the board sends: it is taken from the page and carried out.
  const curl = page.locator('pre', { hasText: 'curl' }).first();
  await expect(curl).toBeVisible();
  const text = await curl.innerText();
  const url = /https?:\/\/\S+\/telemetry/.exec(text)![0].replace(/["'\\]+$/, '');
  const token = /(esp_[a-z]+_[0-9a-f]+|[0-9a-f]{32,})/.exec(text)![0];
  const sent = await page.request.post(url, {
    headers: { authorization: `Bearer ${token}` },
    data: { data: { temperature: 23.5 } },
  });
  expect(sent.status()).toBe(200);

  await expect(page.getByText('23.5').first()).toBeVisible();
  await page
    .getByRole('link', { name: /Greenhouse|Open the device|device page/i })
    .first()
    .click();
  await expect(page.getByRole('heading', { level: 1, name: 'Greenhouse' })).toBeVisible();
  await expect(page.getByText('23.5').first()).toBeVisible();
  // The token is shown once.
  await expect(page.getByText(token)).toBeHidden();
});
