// From the one-time link to a switch: a person presses it, a board obeys, and the page shows it when the board has
// said so.

import { expect, openArea, test } from './fixtures';
import { PASSWORD, Server } from './server';

interface Named {
  id: string;
  name: string;
}
interface State {
  state: Record<string, { desired: unknown; reported: unknown; status: string | null }>;
}

test('a switch on a dashboard moves a board, and shows what the board says', async ({ page }) => {
  const demo = await new Server('demo').start();
  await page.goto(demo.link);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button').last().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible();
  await openArea(page, 'Dashboards');
  await page.getByRole('link', { name: /My first dashboard/ }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'My first dashboard' })).toBeVisible();

  const lamp = page.getByRole('switch', { name: /Desk lamp/ });
  await expect(lamp).toBeVisible();
  const before = await lamp.getAttribute('aria-checked');
  const wanted = before === 'true' ? 'false' : 'true';
  await lamp.click();
  // The finger is answered at once, whatever the board does.
  await expect(lamp).toHaveAttribute('aria-checked', wanted);

  const token = await demo.login('demo');
  const devices = await demo.ask<Named[]>('GET', '/devices', token);
  const board = devices.find((device) => device.name === 'Desk lamp')!;
  await expect
    .poll(async () => {
      const state = await demo.ask<State>('GET', `/devices/${board.id}/state`, token);
      return [state.state.v0?.status, Number(state.state.v0?.reported)];
    })
    .toEqual(['done', wanted === 'true' ? 1 : 0]);

  await expect(lamp).toHaveAttribute('aria-checked', wanted);
  await expect(lamp).not.toHaveAttribute('aria-busy', 'true');

  // A press from elsewhere reaches the open page too.
  await demo.ask('PUT', `/devices/${board.id}/desired`, token, { v0: wanted === 'true' ? 0 : 1 });
  await expect(lamp).toHaveAttribute('aria-checked', String(before));

  // What the board will not take it refuses in its own words, and stays as it is.
  await page.goto(`${demo.url}/ui/devices/${board.id}/control`);
  const row = page.getByRole('listitem').filter({ hasText: 'Brightness' }).first();
  await expect(row).toContainText('Reported');
  await demo.ask('PUT', `/devices/${board.id}/desired`, token, { brightness: 900 });
  await expect(row).toContainText('The board refused it: this board does not take that value.');
  await expect(row.getByText('Refused', { exact: true })).toBeVisible();
  const { state } = await demo.ask<State>('GET', `/devices/${board.id}/state`, token);
  expect(state.brightness!.status).toBe('refused');
  await row.getByRole('button', { name: 'Take back' }).click();
  await expect(row.getByText('Done', { exact: true })).toBeVisible();
  await demo.stop();
});
