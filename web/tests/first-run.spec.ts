// From the one-time link to signing in again: what the first person does on a new installation.

import { expect, test } from './fixtures';
import { PASSWORD, Server } from './server';

test('the one-time link makes the first account, and leads in', async ({ page }) => {
  const server = await new Server('serve').start();
  await page.goto(server.link);
  await page.getByLabel('E-mail').fill('ada@example.com');
  await page.getByLabel('Username').fill('ada');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button').last().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Admin' })).toBeVisible();

  // The link worked once.
  const again = await page.request.get(server.link);
  expect(again.status()).not.toBe(200);

  // No script can read what keeps the person signed in.
  expect(await page.evaluate(() => document.cookie)).toBe('');

  await page.goto(`${server.url}/ui/settings`);
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();

  await page.getByLabel('E-mail or username').fill('ada');
  await page.getByLabel('Password', { exact: true }).fill('wrong-Password-1');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('not right');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
  await server.stop();
});
