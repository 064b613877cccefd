// The screen of a board: what is set on the page is what the board's picture shows.

import type { Locator } from '@playwright/test';
import { expect, expectWellMade, signIn, test } from './fixtures';

/** The share of black dots in a picture, and a word for exactly these dots. */
async function drawn(picture: Locator): Promise<{ ink: number; dots: string }> {
  return picture.evaluate(async (img: HTMLImageElement) => {
    await img.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
    const pen = canvas.getContext('2d')!;
    pen.drawImage(img, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
    let black = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i]! < 128) black++;
    return { ink: black / (data.length / 4), dots: Array.from(hash, (byte) => byte.toString(16)).join('') };
  });
}

test('what a screen shows is set: a dashboard, an own text, an own picture; the preview follows', async ({
  page,
  demo,
}) => {
  test.setTimeout(120_000);
  const token = await demo.login('demo');
  // A board that reports nothing draws the same as long as nobody changes anything.
  const board = await demo.ask<{ id: string }>('POST', '/devices', token, { name: 'Paper in the hall' });
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/devices/${board.id}/screen`);
  const preview = page.getByRole('img', { name: 'What the screen shows now' });
  const save = page.getByRole('button', { name: 'Save' });
  const dots = async (): Promise<string> => (await drawn(preview)).dots;
  await expect(preview).toBeVisible();
  await expect(save).toBeDisabled();

  await page.getByLabel('Date and time').selectOption('Neither');
  await page.getByLabel('Heading').fill('Water on Sunday');
  await page.getByRole('button', { name: 'Discard' }).click();
  await expect(page.getByLabel('Heading')).toHaveValue('');
  const blank = await dots();
  await page.getByLabel('Date and time').selectOption('Neither');
  await page.getByLabel('Heading').fill('Water on Sunday');
  await save.click();
  await expect(save).toBeDisabled();
  await expect.poll(dots).not.toBe(blank);
  const headed = await dots();
  // Drawn again, it is the same: what changed was the heading.
  await page.getByRole('button', { name: 'Draw again' }).click();
  await expect.poll(dots).toBe(headed);
  await expectWellMade(page);

  // Texts: one's own is on paper as soon as it is there, and gone with it.
  await page.getByRole('radio', { name: 'Texts' }).check();
  await page.getByRole('button', { name: 'Add text' }).click();
  await expect(page.getByRole('alert')).toContainText('Write the text first.');
  await page.getByRole('textbox', { name: 'Heading' }).fill('Basil');
  await page.getByRole('textbox', { name: 'Text' }).fill('It likes the sun.');
  await page.getByRole('button', { name: 'Add text' }).click();
  await expect(page.getByText('It likes the sun.')).toBeVisible();
  await save.click();
  await expect(save).toBeDisabled();
  await expect.poll(dots).not.toBe(headed);
  const basil = await dots();
  await page.getByRole('button', { name: 'Delete the text Basil' }).click();
  await expect(page.getByText('It likes the sun.')).toBeHidden();
  await expect.poll(dots).not.toBe(basil);
  await expectWellMade(page);

  // Pictures: what is none is refused by name; a black one makes the paper black.
  await page.getByRole('radio', { name: 'Pictures' }).check();
  const add = page.getByLabel('Add pictures');
  await add.setInputFiles({ name: 'letter.png', mimeType: 'image/png', buffer: Buffer.from('Dear board') });
  await expect(page.getByRole('alert')).toContainText('letter.png:');
  const black = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [400, 400];
    canvas.getContext('2d')!.fillRect(0, 0, 400, 400);
    return canvas.toDataURL('image/png').split(',')[1]!;
  });
  await add.setInputFiles({ name: 'night.png', mimeType: 'image/png', buffer: Buffer.from(black, 'base64') });
  await expect(page.getByRole('button', { name: /Take night.* off the screen/ })).toBeVisible();
  await page.getByLabel('How they fill the screen').selectOption('All of the picture, with white beside it');
  await save.click();
  await expect(save).toBeDisabled();
  // A square on 800 by 480 dots: three fifths of them.
  await expect.poll(async () => (await drawn(preview)).ink).toBeCloseTo(0.6, 1);
  await page.getByLabel('How they fill the screen').selectOption('The whole screen, edges cut off');
  await save.click();
  await expect.poll(async () => (await drawn(preview)).ink).toBeGreaterThan(0.95);
  await expectWellMade(page);
  await demo.ask('DELETE', `/devices/${board.id}`, token);
});

test('what somebody types for a screen stays there while the board goes on reporting', async ({ page, demo }) => {
  const token = await demo.login('demo');
  const board = await demo.ask<{ id: string; device_token: string }>('POST', '/devices', token, {
    name: 'Paper in the shed',
  });
  await signIn(page, demo, 'demo');
  await page.goto(`${demo.url}/ui/devices/${board.id}/screen`);
  await page.getByLabel('Heading').fill('Half a sent');
  const asked: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith(`/devices/${board.id}/screen`)) asked.push(request.method());
  });
  await expect(page.getByText('Has not sent anything yet')).toBeVisible();
  await demo.ask('POST', `/devices/${board.id}/telemetry`, board.device_token, { data: { soil: 41 } });
  await expect(page.getByText(/^Last seen/)).toBeVisible();
  await expect(page.getByLabel('Heading')).toHaveValue('Half a sent');
  expect(asked, 'nothing is loaded over it').toEqual([]);
  await demo.ask('DELETE', `/devices/${board.id}`, token);
});
