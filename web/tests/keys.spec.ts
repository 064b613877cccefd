// Signing keys: a public one is added, what it signs counts, and it is retired for good.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, expectWellMade, openArea, signIn, test } from './fixtures';

test('a public key is added, wrong ones are refused in a sentence, and a retired one does not come back', async ({
  page,
  demo,
}) => {
  test.setTimeout(120_000);
  const program = process.env.ESPALIER_PROGRAM!;
  const key = join(demo.data, 'story');
  execFileSync(program, ['firmware', 'keygen', '--out', key]);
  const image = join(demo.data, 'keys-story.bin');
  execFileSync(program, ['sim', 'firmware', '--chip', 'esp32c3', '--version', '7.7.7', '--out', image]);
  execFileSync(program, ['firmware', 'sign', image, '--key', `${key}.key`]);

  await signIn(page, demo, 'demo');
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Signing keys' }).click();
  await page.getByRole('button', { name: 'Add a key' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a signing key' });
  const trust = dialog.getByRole('button', { name: 'Trust this key' });
  const text = dialog.getByLabel('Public key');
  const file = dialog.getByLabel('Choose the .pub file');

  await trust.click();
  await expect(dialog.getByText('Say what the key is for.')).toBeVisible();
  await expect(dialog.getByText('Paste the public key, or choose its file.')).toBeVisible();
  await dialog.getByLabel('Name').fill('Story key');
  await text.fill('no key at all');
  await trust.click();
  await expect(dialog.getByText(/wanted a \.pub file/i)).toBeVisible();
  // The private half must not stay on the page.
  await file.setInputFiles(`${key}.key`);
  await expect(dialog.getByText('This is the private key: keep it where it is')).toBeVisible();
  await expect(text).toHaveValue('');
  await expectWellMade(page);
  await file.setInputFiles(`${key}.pub`);
  await expect(text).not.toHaveValue('');
  await trust.click();
  await expect(dialog).toBeHidden();
  const line = page.getByRole('listitem').filter({ hasText: 'Story key' });
  await expect(line.getByText('Trusted')).toBeVisible();

  // What it signs counts from now on.
  await page.getByRole('link', { name: 'Images' }).click();
  await page.getByRole('button', { name: 'Add firmware' }).click();
  const upload = page.getByRole('dialog', { name: 'Add firmware' });
  await upload.getByLabel('Image file').setInputFiles([image, `${image}.sig`]);
  await expect(upload.getByText('Signed by Story key')).toBeVisible();
  await page.keyboard.press('Escape');

  await page.getByRole('link', { name: 'Signing keys' }).click();
  await line.getByRole('button', { name: 'Retire Story key' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Retire key' }).click();
  await expect(line.getByText('Retired', { exact: true })).toBeVisible();
  await expect(line.getByRole('button')).toHaveCount(0);
  await expectWellMade(page);

  await page.getByRole('button', { name: 'Add a key' }).click();
  await dialog.getByLabel('Name').fill('Once more');
  await file.setInputFiles(`${key}.pub`);
  await trust.click();
  await expect(dialog.getByRole('alert')).toContainText('This key was retired and cannot come back');
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Images' }).click();
  await page.getByRole('button', { name: 'Add firmware' }).click();
  await upload.getByLabel('Image file').setInputFiles([image, `${image}.sig`]);
  await expect(upload.getByRole('alert')).toBeVisible();
  await expect(upload.getByText('Signed by Story key')).toBeHidden();
  await expect(upload.getByRole('button', { name: 'Add to library' })).toBeDisabled();
});
