// The server dies under an open page and comes back: the page says so, and goes on without a reload.

import { expect, openArea, test } from './fixtures';
import { Server } from './server';

test('a lost server is told, and everything goes on when it is back', async ({ page }) => {
  const server = await new Server('demo').start();
  await page.goto(server.link);
  await page.getByLabel('Password').fill('Correct-horse-1');
  await page.getByRole('button').last().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible();

  await openArea(page, 'Devices');
  await expect(page.getByText('Desk lamp')).toBeVisible();
  await page.evaluate(() => ((window as unknown as { stayed: boolean }).stayed = true));

  await server.kill();
  await expect(page.getByText('Connection lost.')).toBeVisible();
  // What was there stays.
  await expect(page.getByText('Desk lamp')).toBeVisible();

  await server.start();
  // What happened meanwhile, or before the page is connected again, is caught up.
  const token = await server.login('demo');
  await server.ask('POST', '/devices', token, { name: 'Born in the dark' });
  await page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 2_000 })
    .catch(() => undefined);
  await expect(page.getByText('Connection lost.')).toBeHidden();
  await expect(page.getByText('Born in the dark')).toBeVisible();
  expect(await page.evaluate(() => (window as unknown as { stayed?: boolean }).stayed)).toBe(true);
  await server.stop();
});
