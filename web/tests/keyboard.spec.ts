// Without a mouse: find a device by typing, go there, and press its switch.

import { expect, signIn, test } from './fixtures';

test('a person with a keyboard gets everywhere', async ({ page, demo }) => {
  await signIn(page, demo, 'demo');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /Find/ }).fill('monstera');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: /Monstera/ })).toBeFocused();

  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /Find/ }).fill('first dashboard');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'My first dashboard' })).toBeVisible();
  const extractor = page.getByRole('switch', { name: /Dust extractor/ });
  await extractor.focus();
  const before = await extractor.getAttribute('aria-checked');
  await page.keyboard.press('Space');
  await expect(extractor).toHaveAttribute('aria-checked', before === 'true' ? 'false' : 'true');
  await expect(extractor).not.toHaveAttribute('aria-busy', 'true');
});
