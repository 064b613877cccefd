// Who keeps the house: accounts, rules, keys, and what the inbox is told.

import { expect, openArea, signIn, test } from './fixtures';
import { PASSWORD } from './server';

interface Rules {
  rules: Record<string, Record<string, string>>;
  revision: number;
}

test('an account is made, and its open page is signed out when it is disabled', async ({ page, browser, demo }) => {
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/admin/users`);
  await page.getByRole('button', { name: 'Add user' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add user' });
  await dialog.getByLabel('E-mail').fill('guest@example.com');
  await dialog.getByLabel('Username').fill('guest');
  await dialog.getByRole('radio', { name: 'I set a password' }).check();
  await dialog.getByLabel('Password', { exact: true }).fill('weak');
  await dialog.getByRole('button', { name: 'Add user' }).click();
  await expect(dialog.getByLabel('Password', { exact: true })).toHaveAttribute('aria-invalid', 'true');
  await dialog.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await dialog.getByRole('button', { name: 'Add user' }).click();
  const row = page.getByRole('row').filter({ hasText: 'guest@example.com' });
  await expect(row).toContainText('Active');

  const guest = await (await browser.newContext()).newPage();
  await signIn(guest, demo, 'guest');
  await openArea(guest, 'Devices');
  await expect(guest.getByRole('heading', { level: 1, name: 'Devices' })).toBeVisible();
  await expect(guest.getByRole('link', { name: 'Admin' })).toHaveCount(0);

  await row.getByRole('button', { name: 'Actions for guest' }).click();
  await page.getByRole('menuitem', { name: 'Disable' }).click();
  const question = page.getByRole('dialog', { name: 'Disable guest' });
  await question.getByRole('button', { name: 'Disable', exact: true }).click();
  await expect(row).toContainText('Disabled');
  // Nobody touches the other page: it learns by itself.
  const ended = guest.getByRole('dialog', { name: 'Sign in again' });
  await ended.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await ended.getByRole('button', { name: 'Sign in' }).click();
  await expect(ended.getByRole('alert')).toBeVisible();
  await guest.goto(demo.url);
  await expect(guest.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible();
  await expect(guest.getByRole('navigation', { name: 'Main' })).toHaveCount(0);
  await expect(demo.login('guest')).rejects.toThrow(/40[13]/);

  await page.getByRole('region', { name: 'Messages' }).getByRole('button', { name: 'Undo' }).click();
  await expect(row).toContainText('Active');
  expect(await demo.login('guest')).not.toBe('');
  await guest.context().close();
});

test('a rule with a mistake is refused at its place, and one can be tried', async ({ page, demo }) => {
  const token = await demo.login('demo');
  const before = await demo.ask<Rules>('GET', '/admin/security-rules', token);
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/admin/rules`);
  const editor = page.getByRole('textbox', { name: 'Security rules' });
  await expect(editor).toHaveValue(/"devices"/);
  const good = await editor.inputValue();

  // Not JSON: the line is named before anybody is asked.
  await editor.fill(good.replace('{', '{,'));
  await page.getByRole('button', { name: 'Check and save' }).click();
  await expect(page.getByRole('alert')).toContainText(/Line 1.*not JSON/s);
  await expect(editor).toHaveAttribute('aria-invalid', 'true');

  // JSON, and an expression that never ends.
  const rules = JSON.parse(good) as Rules['rules'];
  rules.devices!['.read'] = 'auth.is_admin ||';
  const wrong = JSON.stringify(rules, null, 2);
  const line = wrong.split('\n').findIndex((text) => text.includes('auth.is_admin ||"')) + 1;
  await editor.fill(wrong);
  await expect(page.getByRole('alert')).toBeHidden();
  await page.getByRole('button', { name: 'Check and save' }).click();
  const question = page.getByRole('dialog', { name: 'Put these rules into force' });
  await question.getByRole('button', { name: 'Save rules' }).click();
  await expect(page.getByRole('alert')).toContainText(`Line ${line}`);
  await expect(page.getByRole('alert')).toContainText('devices/.read');
  const after = await demo.ask<Rules>('GET', '/admin/security-rules', token);
  expect(after.rules).toEqual(before.rules);
  await page.getByRole('button', { name: 'Discard changes' }).click();
  await expect(editor).toHaveValue(good);

  const attempt = page.getByRole('region', { name: 'Try it' });
  const said = attempt.getByRole('status');
  await attempt.getByLabel('Expression').fill("auth.is_admin || data.name == 'balcony'");
  await attempt.getByRole('button', { name: 'Try the expression' }).click();
  await expect(said).toHaveText('Allowed');
  await attempt.getByLabel('Expression').fill('auth.is_admin');
  await attempt.getByRole('button', { name: 'Try the expression' }).click();
  await expect(said).toHaveText('Denied');
  await attempt.getByLabel('As a').selectOption('admin');
  await attempt.getByRole('button', { name: 'Try the expression' }).click();
  await expect(said).toHaveText('Allowed');
});

test('a key is shown once, works for what it may, and no longer when it is revoked', async ({ page, demo }) => {
  await demo.signUp('keykeeper');
  await signIn(page, demo, 'keykeeper');
  await page.goto(`${demo.url}/ui/settings/api-keys`);
  await page.getByRole('button', { name: 'Create a key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('What is it for').fill('Nightly report');
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await expect(page.getByRole('dialog', { name: 'Your new key' })).toBeVisible();
  const secret = await dialog.getByRole('code').first().innerText();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await expect(dialog).toBeHidden();
  expect(await page.content()).not.toContain(secret);

  expect(await demo.ask<unknown[]>('GET', '/devices', secret)).toEqual([]);
  await expect(demo.ask('POST', '/devices', secret, { name: 'By a reader' })).rejects.toThrow(/403/);
  await page.reload();
  await expect(page.getByRole('listitem').filter({ hasText: 'Nightly report' })).toContainText('used');
  expect(await page.content()).not.toContain(secret);

  await page.getByRole('button', { name: 'Revoke Nightly report' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
  await expect(page.getByText('No keys yet')).toBeVisible();
  await expect(demo.ask('GET', '/devices', secret)).rejects.toThrow(/401/);
});

test('a warning arrives at the bell and in the inbox, and is read', async ({ page, demo }) => {
  const token = await demo.signUp('listener');
  const device = await demo.ask<{ id: string; device_token: string }>('POST', '/devices', token, { name: 'Gate post' });
  await signIn(page, demo, 'listener');
  const bell = page.getByRole('button', { name: /^Notifications/ });
  await expect(bell).toHaveAccessibleName('Notifications');
  await openArea(page, 'Inbox');
  await expect(page.getByText('Your inbox is empty')).toBeVisible();

  await demo.ask('POST', `/devices/${device.id}/telemetry`, '', {
    device_token: device.device_token,
    data: { battery: 4 },
  });
  await expect(bell).toHaveAccessibleName(/^Notifications, \d+ unread$/);
  const today = page.getByRole('region', { name: 'Today' });
  await expect(today.getByRole('listitem').filter({ hasText: 'Gate post: battery is 4 %.' })).toContainText(
    'Low battery',
  );
  await bell.click();
  const newest = page.getByRole('region', { name: 'Newest notifications' });
  await expect(newest.getByRole('link', { name: /Low battery\s*, unread/ })).toBeVisible();
  await newest.getByRole('button', { name: 'Mark all as read' }).click();
  await expect(bell).toHaveAccessibleName('Notifications');
  await expect(today.getByRole('button', { name: /as read$/ })).toHaveCount(0);
  await expect
    .poll(
      async () =>
        (await demo.ask<{ notifications: unknown[] }>('GET', '/notifications?read=false', token)).notifications,
    )
    .toEqual([]);
  // It stays so when the page comes anew.
  await page.reload();
  await expect(today.getByText('Low battery')).toBeVisible();
  await expect(bell).toHaveAccessibleName('Notifications');
});
