// A person makes a dashboard out of nothing, gives it away to look at, and is told when a board does not obey.

import type { Locator, Page } from '@playwright/test';
import { expect, openArea, signIn, test } from './fixtures';

interface Named {
  id: string;
  name: string;
}
interface Made {
  id: string;
  device_token: string;
}

/** What a widget shows, by its name. */
function widget(page: Page, name: string): Locator {
  return page.getByRole('article', { name, exact: true });
}

/** The frame of a widget in the editor, which takes the keys. */
function frame(page: Page, name: string): Locator {
  return page.getByRole('group', { name: `${name}, widget`, exact: true });
}

async function createDashboard(page: Page, name: string): Promise<void> {
  await openArea(page, 'Dashboards');
  // Who has none yet is offered to start empty.
  await page.getByRole('button', { name: /^(New dashboard|Start empty)$/ }).click();
  const dialog = page.getByRole('dialog', { name: 'New dashboard' });
  await dialog.getByLabel('Name', { exact: true }).fill(name);
  await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

/** Adds a widget as a person does: its type, its device, one of the device's keys, a label. */
async function addWidget(page: Page, kind: string, device: string, key: string, label: string): Promise<void> {
  await page.getByRole('main').getByRole('button', { name: 'Add widget', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: new RegExp(`^${kind}\\b`) }).click();
  await dialog.getByLabel('Device', { exact: true }).selectOption({ label: device });
  const keys = dialog.getByRole('combobox', { name: 'Key', exact: true });
  await keys.getByRole('option', { name: new RegExp(`^${key}( |$)`) }).waitFor({ state: 'attached' });
  await keys.selectOption(key);
  await dialog.getByLabel('Label (optional)').fill(label);
  await dialog.getByRole('button', { name: 'Add widget', exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect(frame(page, label)).toBeVisible();
}

/** Where a widget stands and how large it is, to the pixel. */
async function place(one: Locator): Promise<number[]> {
  const box = (await one.boundingBox())!;
  return [box.x, box.y, box.width, box.height].map(Math.round);
}

test('a dashboard is made from scratch, lives, is laid out by keys, and stays so', async ({ page, demo }) => {
  await signIn(page, demo, 'demo');
  await createDashboard(page, 'Workbench');
  await addWidget(page, 'Gauge', 'Living room heating', 'temperature', 'Warmth');
  await addWidget(page, 'Switch', 'Workshop relays', 'relay2', 'Bench light');
  await addWidget(page, 'Chart', 'Coffee machine plug', 'voltage', 'Mains');

  await test.step('with the keyboard alone', async () => {
    const said = page.getByRole('status').filter({ hasText: 'column' });
    await frame(page, 'Warmth').focus();
    await page.keyboard.press('Shift+ArrowRight');
    await expect(said).toHaveText('Warmth: column 1, row 1, 4 wide, 3 high.');
    await page.keyboard.press('Shift+ArrowDown');
    await expect(said).toHaveText('Warmth: column 1, row 1, 4 wide, 4 high.');
    await frame(page, 'Bench light').focus();
    await page.keyboard.press('ArrowRight');
    await expect(said).toContainText('Bench light: column');
    // The focus stays with what was moved.
    await expect(frame(page, 'Bench light')).toBeFocused();
    const before = await said.textContent();
    await page.keyboard.press('ArrowRight');
    await expect(said).not.toHaveText(before!);
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Shift+ArrowRight');
    await expect(said).toContainText('4 wide, 2 high');
  });

  await page.getByRole('button', { name: 'Done', exact: true }).click();
  const gauge = page.getByRole('meter', { name: 'Warmth' });
  const chart = widget(page, 'Mains').getByRole('img', { name: /^Mains\. Mains: now / });
  const light = page.getByRole('switch', { name: 'Bench light' });

  await test.step('values move by themselves', async () => {
    const warm = await gauge.getAttribute('aria-valuenow');
    await expect(gauge).not.toHaveAttribute('aria-valuenow', warm!);
    const course = await chart.getAttribute('aria-label');
    await expect(chart).not.toHaveAttribute('aria-label', course!);
  });

  await test.step('the switch moves the board', async () => {
    await expect(light).toBeVisible();
    const was = await light.getAttribute('aria-checked');
    await light.click();
    await expect(light).toHaveAttribute('aria-checked', was === 'true' ? 'false' : 'true');
    await expect(widget(page, 'Bench light').getByText('Done')).toBeVisible();
    await expect(light).toHaveAttribute('aria-busy', 'false');
    await expect(light).toHaveAttribute('aria-checked', was === 'true' ? 'false' : 'true');
  });

  await test.step('the layout stays', async () => {
    const names = ['Warmth', 'Bench light', 'Mains'];
    const before = await Promise.all(names.map((name) => place(widget(page, name))));
    expect(before[0]![2], 'the gauge is four of twelve columns').toBeGreaterThan(before[2]![2]! / 2);
    await page.reload();
    for (const name of names) await expect(widget(page, name)).toBeVisible();
    await expect.poll(() => Promise.all(names.map((name) => place(widget(page, name))))).toEqual(before);
  });

  await test.step('a deleted widget comes back', async () => {
    const before = await place(widget(page, 'Bench light'));
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await frame(page, 'Bench light').focus();
    await page.keyboard.press('Delete');
    await expect(frame(page, 'Bench light')).toBeHidden();
    const messages = page.getByRole('region', { name: 'Messages' });
    await expect(messages.getByText('Bench light deleted')).toBeVisible();
    await messages.getByRole('button', { name: 'Undo' }).click();
    await expect(frame(page, 'Bench light')).toBeVisible();
    await page.getByRole('button', { name: 'Done', exact: true }).click();
    await page.reload();
    await expect(light).toBeVisible();
    await expect.poll(() => place(widget(page, 'Bench light'))).toEqual(before);
  });
});

test('whoever has the link may look, until it is revoked', async ({ page, browser, demo }) => {
  const token = await demo.signUp('lena');
  const device = await demo.ask<Made>('POST', '/devices', token, { name: 'Terrarium' });
  const measure = (data: object): Promise<unknown> =>
    demo.ask('POST', `/devices/${device.id}/telemetry`, device.device_token, { data });
  await measure({ warmth: 21.5, heater: 0 });
  const board = await demo.ask<Named>('POST', '/dashboards', token, { name: 'Lizard' });
  for (const [type, label, key] of [
    ['telemetry', 'Warmth', 'warmth'],
    ['switch', 'Heater', 'heater'],
  ]) {
    const body = { dashboard_id: board.id, device_id: device.id, type, label, config: { key } };
    await demo.ask('POST', '/widgets', token, body);
  }

  await signIn(page, demo, 'lena');
  await openArea(page, 'Dashboards');
  await page.getByRole('link', { name: 'Lizard' }).click();
  await expect(page.getByRole('switch', { name: 'Heater' })).toBeVisible();
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Share this dashboard' });
  await dialog.getByRole('button', { name: 'Make a link' }).click();
  const link = await dialog.getByText(/\/ui\/shared\/\S+/).innerText();

  const context = await browser.newContext();
  const guest = await context.newPage();
  await guest.goto(link);
  await expect(guest.getByRole('heading', { level: 1, name: 'Lizard' })).toBeVisible();
  await expect(widget(guest, 'Warmth')).toContainText('21.5');
  await expect(widget(guest, 'Heater')).toContainText('Off');
  await expect(guest.getByRole('switch')).toHaveCount(0);
  await expect(guest.getByRole('navigation', { name: 'Main' })).toHaveCount(0);
  // What the board says later comes by itself.
  await measure({ warmth: 24.25, heater: 1 });
  await expect(widget(guest, 'Warmth')).toContainText('24.25');
  await expect(widget(guest, 'Heater')).toContainText('On');
  // The link is for this dashboard and nothing else.
  expect((await guest.request.get(`${demo.url}/devices`)).status()).toBe(401);

  await dialog.getByRole('button', { name: 'Revoke link' }).click();
  const sure = page.getByRole('dialog', { name: 'Revoke the link?' });
  await sure.getByRole('button', { name: 'Revoke link' }).click();
  await expect(sure).toBeHidden();
  await expect(guest.getByText('This link does not work')).toBeVisible();
  await expect(guest.getByText('24.25')).toBeHidden();
  await guest.reload();
  await expect(guest.getByText('This link does not work')).toBeVisible();
  await context.close();
});

test('a switch waits for its board, and goes back with the reason when it may not', async ({ page, demo }) => {
  const [owner, guest] = [await demo.signUp('olga'), await demo.signUp('gus')];
  const device = await demo.ask<Made>('POST', '/devices', owner, { name: 'Mule' });
  const say = (relay: number): Promise<unknown> =>
    demo.ask('POST', `/devices/${device.id}/telemetry`, device.device_token, { data: { relay } });
  const share = (role: string): Promise<unknown> =>
    demo.ask('PUT', `/devices/${device.id}/shares/gus`, owner, { role });
  await say(0);
  await share('member');
  const board = await demo.ask<Named>('POST', '/dashboards', guest, { name: 'Stable' });
  const body = { dashboard_id: board.id, device_id: device.id, type: 'switch', label: 'Lantern' };
  const made = await demo.ask<Named>('POST', '/widgets', guest, { ...body, config: { key: 'relay' } });

  await signIn(page, demo, 'gus');
  await openArea(page, 'Dashboards');
  await page.getByRole('link', { name: 'Stable' }).click();
  const lantern = page.getByRole('switch', { name: 'Lantern' });
  const note = widget(page, 'Lantern').getByRole('status');
  await expect(lantern).toHaveAttribute('aria-checked', 'false');

  await test.step('it waits as long as the board is silent', async () => {
    await lantern.click();
    await expect(lantern).toHaveAttribute('aria-checked', 'true');
    await expect(lantern).toHaveAttribute('aria-busy', 'true');
    await expect(note).toContainText(/^\s*Wait/);
    // Who comes anew sees it waiting as well.
    await page.reload();
    await expect(lantern).toHaveAttribute('aria-busy', 'true');
    await expect(lantern).toHaveAttribute('aria-checked', 'true');
    await expect(note).toContainText(/^\s*Wait/);
    await say(1);
    await expect(lantern).toHaveAttribute('aria-busy', 'false');
    await expect(lantern).toHaveAttribute('aria-checked', 'true');
  });

  await test.step('the server refuses', async () => {
    // The right is taken away while the press is on its way.
    await page.route(
      `**/widgets/${made.id}/state`,
      async (route) => {
        await expect(note).toContainText('Waiting for the board');
        await expect(lantern).toHaveAttribute('aria-checked', 'false');
        await share('viewer');
        await route.continue();
      },
      { times: 1 },
    );
    const answer = page.waitForResponse(`**/widgets/${made.id}/state`);
    await lantern.click();
    expect((await answer).status()).toBe(403);
    await expect(note).toContainText('Not done');
    await expect(note).toContainText(/may|control|permission|shared/i);
    await expect(lantern).toHaveAttribute('aria-checked', 'true');
    await expect(lantern).toHaveAttribute('aria-busy', 'false');
    // What may only be looked at cannot be pressed; the open page hears of it.
    await expect(lantern).toBeDisabled();
  });
});
