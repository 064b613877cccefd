// Firmware on its way: a file becomes an image, an image a release, a release goes out in waves; and a bad one stops by
// itself, with every board as it was.

import type { Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demoOfItsOwn, expect, openArea, signIn, test } from './fixtures';
import type { Server } from './server';

interface Named {
  id: string;
  name: string;
}
interface Running {
  version: string | null;
}

/** Writes and signs an image for the simulated boards, as a person does on a machine of their own. */
function build(server: Server, version: string): { image: string; signature: string } {
  const program = process.env.ESPALIER_PROGRAM!;
  const image = join(server.data, `greenhouse-${version}.bin`);
  execFileSync(program, ['sim', 'firmware', '--chip', 'esp32c3', '--version', version, '--out', image]);
  execFileSync(program, ['firmware', 'sign', image, '--key', join(server.data, 'demo-signing.key')]);
  return { image, signature: `${image}.sig` };
}

/** What every board says that it runs. */
async function versions(demo: Server, token: string): Promise<(string | null)[]> {
  const devices = await demo.ask<Named[]>('GET', '/devices', token);
  const boards = devices.map(({ id }) => demo.ask<Running>('GET', `/devices/${id}/firmware`, token));
  return (await Promise.all(boards)).map(({ version }) => version);
}

/** Fills in the plan of a release: waves as people write them, boards watched for a moment. */
async function plan(page: Page, release: string, waves: string): Promise<void> {
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Releases' }).click();
  await page.getByRole('link', { name: `Roll out ${release}` }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'New rollout' })).toBeVisible();
  await expect(page.getByRole('combobox', { name: 'Release' })).toContainText(release);
  await page.getByRole('textbox', { name: 'Waves' }).fill(waves);
  await page.getByLabel('Watch each board').fill('0.05');
}

test('a file that is no image is refused in a sentence; a signed one comes into the library and is released', async ({
  page,
  demo,
}) => {
  const { image, signature } = build(demo, '1.3.0');
  await signIn(page, demo, 'demo');
  await openArea(page, 'Firmware');
  await page.getByRole('button', { name: 'Add firmware' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add firmware' });
  const file = dialog.getByLabel('Image file');
  const add = dialog.getByRole('button', { name: 'Add to library' });

  await file.setInputFiles({
    name: 'notes.bin',
    mimeType: 'application/octet-stream',
    buffer: Buffer.from('No image'),
  });
  await expect(dialog.getByRole('alert')).toContainText('upload the app');
  await expect(add).toBeDisabled();

  await file.setInputFiles(image);
  await expect(dialog.getByText('simulated-board 1.3.0')).toBeVisible();
  await expect(dialog.getByRole('alert')).toContainText('only signed firmware');
  await expect(add).toBeDisabled();

  await file.setInputFiles([image, signature]);
  await expect(dialog.getByText('Signed by Demo')).toBeVisible();
  await dialog.getByLabel('What is it').fill('For the greenhouse');
  await add.click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText('For the greenhouse')).toBeVisible();

  // Everything it says of itself is one press away.
  await page.getByRole('button', { name: 'simulated-board 1.3.0', exact: true }).click();
  const details = page.getByRole('dialog', { name: 'simulated-board 1.3.0' });
  await expect(details.getByText('Flash mode')).toBeVisible();
  await expect(details.getByRole('button', { name: 'Copy the SHA-256' })).toBeVisible();
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Change simulated-board 1.3.0' }).click();
  await page.getByRole('menuitem', { name: 'Make a release' }).click();
  const release = page.getByRole('dialog', { name: 'New release' });
  await expect(release.getByRole('checkbox', { name: /simulated-board 1\.3\.0/ })).toBeChecked();
  await expect(release.getByLabel('Version')).toHaveValue('1.3.0');
  await release.getByLabel('Channel').fill('beta');
  await release.getByLabel('What is new').fill('Waters less when it rained.');
  await release.getByRole('button', { name: 'Release' }).click();
  await expect(release).toBeHidden();
  await expect(page.getByText('beta 1.3.0')).toBeVisible();
  await page.getByRole('link', { name: 'Releases' }).click();
  await expect(page.getByText('Waters less when it rained.')).toBeVisible();
});

test('a rollout is planned with a preview, watched live board by board, and taken back as one', async ({ page }) => {
  test.setTimeout(240_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  await expect.poll(() => versions(demo, token)).toEqual(Array(12).fill('1.0.0'));

  await plan(page, '1.1.0', '2 boards, 100 %');
  const preview = page.getByRole('region', { name: 'Preview' });
  await expect(preview.getByRole('status')).toHaveText(/12 boards of 12/);
  await expect(preview.getByRole('row')).toHaveCount(13);
  // Only some of them; who is left out is said with the reason.
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByRole('combobox', { name: 'What' }).selectOption('Chip');
  await page.getByLabel('Value').fill('esp32c3');
  await expect(preview.getByRole('status')).toHaveText(/7 boards of 7/);
  await page.getByRole('button', { name: 'Start rollout' }).click();

  await expect(page.getByRole('heading', { level: 1, name: 'stable 1.1.0' })).toBeVisible();
  const header = page.getByRole('banner').or(page.getByRole('main'));
  const boards = page.getByRole('region', { name: 'Boards' });
  // Nothing is loaded anew from here on: what moves comes through the socket.
  await page.evaluate(() => ((window as unknown as { untouched: boolean }).untouched = true));
  await expect(boards.getByRole('button', { name: /: Downloading|: On trial|: Restarting/ }).first()).toBeVisible();
  await expect(boards.getByRole('button', { name: /: Healthy/ }).first()).toBeVisible({ timeout: 60_000 });
  await expect(boards.getByRole('button', { name: /: Healthy/ })).toHaveCount(7, { timeout: 120_000 });
  await expect(header.getByText('Finished', { exact: true }).first()).toBeVisible();
  await expect(page.getByRole('region', { name: 'What happened' })).toContainText('Wave 2 opened.');
  expect(await page.evaluate(() => (window as unknown as { untouched?: boolean }).untouched)).toBe(true);
  expect((await versions(demo, token)).filter((version) => version === '1.1.0')).toHaveLength(7);

  await boards
    .getByRole('button', { name: /: Healthy/ })
    .first()
    .click();
  await expect(boards.getByText('1.0.0 → 1.1.0')).toBeVisible();

  // One press, one question, and every board runs again what it ran before.
  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await expect(page.getByText('Rolled back', { exact: true }).first()).toBeVisible({ timeout: 120_000 });
  await expect.poll(() => versions(demo, token), { timeout: 30_000 }).toEqual(Array(12).fill('1.0.0'));

  await page.getByRole('link', { name: 'Rollouts' }).click();
  await expect(page.getByRole('link', { name: 'stable 1.1.0' })).toBeVisible();
  await demo.stop();
});

test('a bad release stops by itself: why is shown, and the boards are as they were', async ({ page }) => {
  test.setTimeout(180_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  await expect.poll(() => versions(demo, token)).toEqual(Array(12).fill('1.0.0'));

  await plan(page, '1.2.0', '2 boards, 100 %');
  await expect(page.getByRole('region', { name: 'Preview' }).getByRole('status')).toHaveText(/12 boards of 12/);
  await page.getByRole('button', { name: 'Start rollout' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'beta 1.2.0' })).toBeVisible();

  await expect(page.getByRole('alert').filter({ hasText: 'It stopped by itself.' })).toBeVisible({ timeout: 90_000 });
  await expect(page.getByRole('region', { name: 'Why boards failed' })).toContainText(
    'It failed its own check of the hardware, and the board took the old image back.',
  );
  const boards = page.getByRole('region', { name: 'Boards' });
  await expect(boards.getByRole('button', { name: /: Went back/ }).first()).toBeVisible();
  // Nobody of the next wave was touched; of the first, one may have slept.
  expect(await boards.getByRole('button', { name: /: Waiting/ }).count()).toBeGreaterThanOrEqual(10);
  await expect.poll(() => versions(demo, token)).toEqual(Array(12).fill('1.0.0'));

  // Who was elsewhere is told, and led here.
  await openArea(page, 'Home');
  await page
    .getByRole('region', { name: 'Needs attention' })
    .getByRole('link', { name: /Rollout halted|beta 1\.2\.0/ })
    .click();
  await expect(page.getByRole('heading', { level: 1, name: 'beta 1.2.0' })).toBeVisible();
  await page.getByRole('button', { name: 'Abort' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Abort' }).click();
  await expect(page.getByText('Aborted', { exact: true }).first()).toBeVisible();
  await demo.stop();
});
