// A thousand devices: the page draws the few that are seen, finds the wanted ones, and changes many at once.

import { expect, openArea, signIn, test } from './fixtures';

interface Named {
  id: string;
  name: string;
  tags: string[];
}

test('a thousand devices are found, tagged together, and taken back', async ({ page, demo }) => {
  const token = await demo.signUp('fleetowner');
  for (const half of [0, 500]) {
    const devices = Array.from({ length: 500 }, (_, i) => ({
      name: `Node-${String(half + i).padStart(4, '0')}`,
      kind: (half + i) % 4 === 0 ? 'plug' : 'sensor',
      tags: (half + i) % 100 === 0 ? ['spare'] : [],
    }));
    await demo.ask('POST', '/devices/batch', token, { devices });
  }
  await signIn(page, demo, 'fleetowner');
  await openArea(page, 'Devices');

  const told = page.getByRole('status').filter({ hasText: 'of 1,000 devices' });
  await expect(told).toHaveText('1,000 of 1,000 devices');
  const table = page.getByRole('table', { name: 'Devices' });
  const picks = table.getByRole('checkbox', { name: /^Select Node-/ });
  await expect(picks.first()).toBeVisible();
  // What is not seen is not drawn, and who listens still hears how many there are.
  expect(await picks.count()).toBeLessThan(60);
  await expect(table).toHaveAttribute('aria-rowcount', '1001');

  // Far down, other rows are drawn instead of the first ones.
  await expect(table.getByRole('link', { name: 'Node-0999' })).toHaveCount(0);
  await page.keyboard.press('End');
  await expect(table.getByRole('link', { name: 'Node-0999' })).toBeVisible();
  await expect(table.getByRole('link', { name: 'Node-0000' })).toHaveCount(0);
  expect(await picks.count()).toBeLessThan(60);

  await page.getByRole('searchbox', { name: 'Search devices' }).fill('node-012');
  await expect(told).toHaveText('10 of 1,000 devices');
  await expect(picks).toHaveCount(10);
  await page.getByRole('combobox', { name: 'Kind' }).selectOption('plug');
  await expect(told).toHaveText('3 of 1,000 devices');
  await expect(table.getByRole('link')).toHaveText(['Node-0120', 'Node-0124', 'Node-0128']);
  await page.getByRole('searchbox', { name: 'Search devices' }).fill('');
  await expect(told).toHaveText('250 of 1,000 devices');

  await table.getByRole('checkbox', { name: 'Select all 250 shown devices' }).check();
  const bar = page.getByRole('region', { name: 'Selected devices' });
  await expect(bar.getByRole('status')).toHaveText('250 selected');
  await bar.getByRole('button', { name: 'Add tag' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a tag to 250 devices' });
  // One of them has the tag already: undoing must leave it there.
  await dialog.getByLabel('Tag', { exact: true }).fill('spare');
  await dialog.getByRole('button', { name: 'Add tag' }).click();
  const messages = page.getByRole('region', { name: 'Messages' });
  await expect(messages).toContainText('Tag “spare” added to 250 devices.');

  const tagged = async (): Promise<string[]> => {
    const devices = await demo.ask<Named[]>('GET', '/devices?limit=1000', token);
    return devices.filter((device) => device.tags.includes('spare')).map((device) => device.name);
  };
  expect(await tagged()).toHaveLength(250);
  await page.getByRole('combobox', { name: 'Tag' }).selectOption('spare');
  await expect(told).toHaveText('250 of 1,000 devices');

  await messages.getByRole('button', { name: 'Undo' }).click();
  await expect(messages).toContainText('Undone.');
  // The ten that had it before have it still.
  expect((await tagged()).sort()).toEqual(
    Array.from({ length: 10 }, (_, i) => `Node-${String(i * 100).padStart(4, '0')}`),
  );
  await expect(told).toHaveText('10 of 1,000 devices');
});

test('a long bulk change counts while it works', async ({ page, demo }) => {
  const token = await demo.signUp('counting');
  const devices = Array.from({ length: 500 }, (_, i) => ({ name: `Lamp ${i}` }));
  await demo.ask('POST', '/devices/batch', token, { devices });
  await signIn(page, demo, 'counting');
  await openArea(page, 'Devices');
  // The first answer waits until the page was looked at.
  let release = (): void => undefined;
  const looked = new Promise<void>((done) => (release = done));
  await page.route('**/devices/bulk', async (route) => {
    await looked;
    await route.continue();
  });
  await page.getByRole('checkbox', { name: 'Select all 500 shown devices' }).check();
  const bar = page.getByRole('region', { name: 'Selected devices' });
  await bar.getByRole('button', { name: 'Set group' }).click();
  const dialog = page.getByRole('dialog', { name: 'Put 500 devices into a group' });
  await dialog.getByLabel('Group', { exact: true }).fill('Cellar');
  await dialog.getByRole('button', { name: 'Set group' }).click();
  await expect(bar.getByRole('progressbar', { name: 'Devices done' })).toBeVisible();
  await expect(bar.getByRole('status')).toHaveText('0 of 500 done');
  await expect(bar.getByRole('button', { name: 'Stop' })).toBeVisible();
  release();
  await expect(page.getByRole('region', { name: 'Messages' })).toContainText('500 devices put into group “Cellar”.');
  await expect(bar.getByRole('status')).toHaveText('500 selected');
});
