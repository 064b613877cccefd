// What every story begins with: a server, and a person at the browser.

import { test as base, expect, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { PASSWORD, Server } from './server';

interface Worker {
  /** A server with twelve simulated boards, whose account `demo` has the password of the tests. */
  demo: Server;
}

export const test = base.extend<{ failures: void }, Worker>({
  demo: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const server = await new Server('demo').start();
      await choosePassword(server);
      await use(server);
      await server.stop();
    },
    { scope: 'worker' },
  ],
  // A page that throws is broken, whatever it shows.
  failures: [
    async ({ context }, use) => {
      const errors: string[] = [];
      context.on('weberror', (error) => errors.push(error.error().stack ?? String(error.error())));
      await use();
      expect(errors, 'no script fails').toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Uses the one-time link as a program, for stories about something else. */
async function choosePassword(server: Server): Promise<void> {
  const token = new URL(server.link).searchParams.get('token');
  await server.ask('POST', '/setup', '', { token, password: PASSWORD });
}

/** Signs in through the page. */
export async function signIn(page: Page, server: Server, name: string): Promise<void> {
  await page.goto(server.url);
  await page.getByLabel('E-mail or username').fill(name);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
}

/** Goes to an area by the navigation. */
export async function openArea(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).first().click();
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  id: string;
  impact: string | null;
  help: string;
  nodes: { html: string; failureSummary?: string }[];
}

/** Asks axe what is wrong with the page and expects nothing serious. */
export async function expectAccessible(page: Page): Promise<void> {
  // Things that fade in have no contrast yet.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .map((one) =>
          one.effect?.getComputedTiming().iterations === Infinity ? undefined : one.finished.catch(() => undefined),
        ),
    ),
  );
  await page.evaluate(AXE);
  const findings = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: Finding[] }> } }).axe;
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    return (await axe.run({ runOnly: { type: 'tag', values: tags } })).violations;
  });
  const serious = findings.filter((one) => one.impact === 'serious' || one.impact === 'critical');
  const text = serious.map(
    (one) => `${one.id}: ${one.help}\n${one.nodes.map((n) => `  ${n.html}\n  ${n.failureSummary ?? ''}`).join('\n')}`,
  );
  expect(text.join('\n')).toBe('');
}

/** The page as it stands: nothing serious for axe in both themes, and nothing that scrolls sideways on a phone. */
export async function expectWellMade(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page);
  }
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const inner = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(inner, `it is no wider than ${width}`).toBeLessThanOrEqual(width);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** A demo of its own: what happens to its boards happens to no other story. */
export async function demoOfItsOwn(page: Page): Promise<Server> {
  const demo = await new Server('demo').start();
  await page.goto(demo.link);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button').last().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Home' })).toBeVisible();
  return demo;
}
