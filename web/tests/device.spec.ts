// One device: its past drawn, as numbers and as a file; its name, who else sees it, and its token.

import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { Server } from './server';
import { expect, openArea, signIn, test } from './fixtures';

interface Created {
  id: string;
  device_token: string;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Opens a part of a device's page. */
async function openDevice(page: Page, server: Server, id: string, part: string): Promise<void> {
  await page.goto(`${server.url}/ui/devices/${id}${part}`);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
}

test('the past is drawn, summed up in true numbers, and taken away as a file', async ({ page, demo }) => {
  const token = await demo.signUp('historian');
  const device = await demo.ask<Created>('POST', '/devices', token, { name: 'Kiln' });
  // Three whole hours that are over, a value every ten minutes: the hours have the means 15, 25 and 35.
  const start = Math.floor(Date.now() / HOUR) * HOUR - 4 * HOUR;
  const points = Array.from({ length: 18 }, (_, i) => ({
    ts: start + i * 10 * MINUTE,
    value: 10 * (1 + Math.floor(i / 6)) + 2 * (i % 6),
  }));
  const posted = points.slice(0, 9).map(({ ts, value }) => ({ ts, data: { warmth: value } }));
  await demo.ask('POST', `/devices/${device.id}/telemetry`, '', {
    device_token: device.device_token,
    samples: posted,
  });
  const lines = points.slice(9).map(({ ts, value }) => `${ts},${value}`);

  await signIn(page, demo, 'historian');
  await openDevice(page, demo, device.id, `/history?keys=warmth&from=${start}&to=${start + 3 * HOUR}&tz=UTC`);
  // The second half comes from a file that the person has.
  await page.getByRole('button', { name: 'Import CSV' }).click();
  const dialog = page.getByRole('dialog', { name: 'Import values' });
  await dialog.getByLabel('CSV file').setInputFiles({
    name: 'kiln.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from(`timestamp,warmth\n${lines.join('\n')}\n`),
  });
  await dialog.getByRole('button', { name: 'Import', exact: true }).click();
  await expect(page.getByRole('region', { name: 'Messages' })).toContainText('9 values imported.');

  const history = page.getByRole('region', { name: 'History', exact: true });
  await expect(history.getByRole('img', { name: /Warmth: now 40, from 10 to 40/ })).toBeVisible();
  await expect(history.getByText('Every point as it was reported.')).toBeVisible();
  const facts = page.getByRole('region', { name: 'Lowest, mean and highest' });
  await expect(facts.getByRole('row', { name: /Warmth/ }).getByRole('cell')).toHaveText(['10', '25', '40', '18']);

  const table = page.getByRole('region', { name: 'Values in a table' });
  await page.getByRole('button', { name: 'Show table' }).click();
  await expect(table.getByRole('row')).toHaveCount(19);
  const clock = (ts: number): string => new Date(ts).toISOString().slice(0, 19).replace('T', ' ');
  await expect(table.getByRole('rowheader')).toHaveText([...points].reverse().map(({ ts }) => clock(ts)));
  await expect(table.getByRole('cell')).toHaveText([...points].reverse().map(({ value }) => String(value)));

  await page.getByRole('combobox', { name: 'Summed up as' }).selectOption('mean');
  await page.getByRole('combobox', { name: 'Length of a bucket' }).selectOption('1h');
  await expect(table.getByRole('rowheader')).toHaveText([2, 1, 0].map((hour) => clock(start + hour * HOUR)));
  await expect(table.getByRole('cell')).toHaveText(['35', '25', '15']);
  await page.getByRole('combobox', { name: 'Summed up as' }).selectOption('max');
  await expect(table.getByRole('cell')).toHaveText(['40', '30', '20']);

  // However it is shown, the file holds every point.
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export CSV' }).click();
  const file = await download;
  expect(file.suggestedFilename()).toMatch(/\.csv$/);
  const text = readFileSync(await file.path(), 'utf8')
    .trim()
    .split(/\r?\n/);
  expect(text).toHaveLength(19);
  const head = text[0]!.split(',');
  const rows = text.slice(1).map((line) => Object.fromEntries(line.split(',').map((cell, i) => [head[i], cell])));
  expect(rows.map((row) => [row.key, Number(row.value)])).toEqual(points.map(({ value }) => ['warmth', value]));
  const moments = rows.map((row) => Date.parse(row.timestamp ?? row.ts ?? '') || Number(row.timestamp ?? row.ts));
  expect(moments).toEqual(points.map(({ ts }) => ts));
});

test('a renamed device is called so everywhere, and Undo gives the old name back', async ({ page, demo }) => {
  const token = await demo.signUp('namer');
  const device = await demo.ask<Created>('POST', '/devices', token, { name: 'Old barn' });
  await signIn(page, demo, 'namer');
  await openDevice(page, demo, device.id, '/settings');
  const about = page.getByRole('region', { name: 'About this device' });
  const name = about.getByLabel('Name', { exact: true });
  await name.fill('');
  await about.getByRole('button', { name: 'Save' }).click();
  await expect(name).toHaveAttribute('aria-invalid', 'true');
  await name.fill('New stable');
  await about.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'New stable' })).toBeVisible();
  await openArea(page, 'Devices');
  await expect(page.getByRole('link', { name: 'New stable' })).toBeVisible();
  await expect(page.getByText('Old barn')).toHaveCount(0);
  const asked = async (): Promise<string> =>
    (await demo.ask<{ name: string }>('GET', `/devices/${device.id}`, token)).name;
  expect(await asked()).toBe('New stable');
  await page.getByRole('region', { name: 'Messages' }).getByRole('button', { name: 'Undo' }).click();
  await expect(page.getByRole('link', { name: 'Old barn' })).toBeVisible();
  expect(await asked()).toBe('Old barn');
});

test('a device is shared by username, as far as the role goes, and no longer', async ({ page, browser, demo }) => {
  const token = await demo.signUp('sharer');
  const friendToken = await demo.signUp('friend');
  const device = await demo.ask<Created>('POST', '/devices', token, { name: 'Shared gate' });
  const friend = await (await browser.newContext()).newPage();
  await signIn(friend, demo, 'friend');
  await openArea(friend, 'Devices');
  await signIn(page, demo, 'sharer');
  await openDevice(page, demo, device.id, '/settings');

  await page.getByLabel('Share with').fill('nobody-is-called-this');
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  await expect(page.getByLabel('Share with')).toHaveAttribute('aria-invalid', 'true');

  await page.getByLabel('Share with').fill('friend');
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  const role = page.getByRole('combobox', { name: 'What friend may do' });
  await expect(role).toHaveValue('viewer');
  // It comes to the friend's open page; who may only look finds no buttons that would be refused.
  await friend.getByRole('link', { name: 'Shared gate' }).click();
  await expect(friend.getByRole('heading', { level: 1, name: 'Shared gate' })).toBeVisible();
  const parts = friend.getByRole('navigation', { name: 'Parts of this device' });
  await parts.getByRole('link', { name: 'Settings' }).click();
  await expect(friend.getByRole('button', { name: 'End the share' })).toBeVisible();
  await expect(friend.getByRole('button', { name: 'Make a new token' })).toHaveCount(0);
  const wish = (): Promise<unknown> => demo.ask('PUT', `/devices/${device.id}/desired`, friendToken, { v0: 1 });
  await expect(wish()).rejects.toThrow(/403/);

  await role.selectOption('member');
  await expect(wish).toPass();
  await page.getByRole('button', { name: 'Remove friend' }).click();
  await expect(friend.getByText('This device is not here')).toBeVisible();
  await expect(wish()).rejects.toThrow(/40[34]/);
  await friend.context().close();
});

test('a new token is shown once, and the old one is dead', async ({ page, demo }) => {
  const token = await demo.signUp('rotator');
  const device = await demo.ask<Created>('POST', '/devices', token, { name: 'Lost board' });
  const send = (device_token: string): Promise<unknown> =>
    demo.ask('POST', `/devices/${device.id}/telemetry`, '', { device_token, data: { level: 7 } });
  await send(device.device_token);
  await signIn(page, demo, 'rotator');
  await openDevice(page, demo, device.id, '/settings');
  await expect(page.getByText(device.device_token)).toHaveCount(0);

  await page.getByRole('button', { name: 'Make a new token' }).click();
  const question = page.getByRole('dialog', { name: 'Make a new token?' });
  await question.getByRole('button', { name: 'Make a new token' }).click();
  const dialog = page.getByRole('dialog', { name: 'The new token' });
  const fresh = await dialog.getByRole('code').innerText();
  expect(fresh).not.toBe(device.device_token);
  await dialog.getByRole('button', { name: 'I have it' }).click();
  await expect(dialog).toBeHidden();
  expect(await page.content()).not.toContain(fresh);

  await expect(send(device.device_token)).rejects.toThrow(/40[13]/);
  await send(fresh);
  await page.reload();
  await expect(page.getByRole('heading', { level: 1, name: 'Lost board' })).toBeVisible();
  expect(await page.content()).not.toContain(fresh);
});
