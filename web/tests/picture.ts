// How a picture of a page is taken, for docs/screenshots.

import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';

export const FOLDER = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));

/** The page as it stands: both themes, desk and phone. */
export async function picture(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${FOLDER}${name}-${colorScheme}.png`, animations: 'disabled' });
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: `${FOLDER}${name}-phone.png`, animations: 'disabled' });
  await page.setViewportSize({ width: 1280, height: 800 });
}
