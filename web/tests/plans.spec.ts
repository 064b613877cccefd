// A rollout before it begins: its plan is changed, a second person approves it, and it waits for its day and its hours.

import type { Page } from '@playwright/test';
import { demoOfItsOwn, expect, expectWellMade, openArea, signIn, test } from './fixtures';
import type { Server } from './server';

interface Rollout {
  id: string;
  state: string;
  version: string;
  target: unknown;
  created_by: string;
  approved_by: string | null;
  plan: Record<string, unknown>;
}

const OWN = 'Who created or started a rollout cannot approve it; ask a second person.';

/** Opens the form of a new rollout of a release. */
async function plan(page: Page, release: string): Promise<void> {
  await openArea(page, 'Firmware');
  await page.getByRole('link', { name: 'Releases' }).click();
  await page.getByRole('link', { name: `Roll out ${release}` }).click();
  await expect(page.getByRole('combobox', { name: 'Release' })).toContainText(release);
}

/** The rollout whose page is open, as the server has it. */
async function shown(page: Page, demo: Server, token: string): Promise<Rollout> {
  const id = /rollouts\/([0-9a-f-]{36})/.exec(page.url())?.[1];
  return demo.ask<Rollout>('GET', `/rollouts/${id}`, token);
}

/** How many boards the preview would serve. */
function served(page: Page) {
  return page.getByRole('region', { name: 'Preview' }).getByRole('status');
}

/** Hours that begin in two hours: closed now, whenever the story is told. */
async function closedHours(page: Page): Promise<{ from: string; to: string }> {
  const clock = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
  const hours = { from: clock(2), to: clock(3) };
  await page.getByLabel('Time zone').fill('UTC');
  const tick = page.getByLabel('Only at certain hours');
  await tick.uncheck();
  await tick.check();
  await page.getByLabel('from').fill(hours.from);
  await page.getByLabel('to', { exact: true }).fill(hours.to);
  return hours;
}

test('a draft is changed before it begins: release, target and plan, and nothing that the form does not show is lost', async ({
  page,
}) => {
  test.setTimeout(180_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  await plan(page, '1.1.0');
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByRole('combobox', { name: 'What' }).selectOption('Chip');
  await page.getByLabel('Value').fill('esp32c3');
  await page.getByRole('textbox', { name: 'Waves' }).fill('2 boards, 100 %');
  await expect(served(page)).toHaveText(/7 boards of 7/);
  await page.getByRole('button', { name: 'Save as draft' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'stable 1.1.0' })).toBeVisible();
  await expect(page.getByText('Draft', { exact: true })).toBeVisible();

  // The form holds what was planned.
  await page.getByRole('link', { name: 'Change the plan' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Change the plan' })).toBeVisible();
  const release = page.getByRole('combobox', { name: 'Release' });
  await expect(release.locator('option:checked')).toContainText('1.1.0 (stable)');
  await expect(page.getByRole('combobox', { name: 'What' })).toHaveValue('chips');
  await expect(page.getByLabel('Value')).toHaveValue('esp32c3');
  await expect(page.getByRole('textbox', { name: 'Waves' })).toHaveValue('2 boards, 100 %');
  await expect(served(page)).toHaveText(/7 boards of 7/);
  await expectWellMade(page);

  // Everything can be another one; its name follows the release as long as nobody gave it one.
  const beta = await release.locator('option', { hasText: '1.2.0 (beta)' }).getAttribute('value');
  await release.selectOption(beta);
  await page.getByRole('combobox', { name: 'Is or is not' }).selectOption('is not');
  await page.getByRole('textbox', { name: 'Waves' }).fill('1 board, 50 %, 100 %');
  await page.getByLabel('Halt above').fill('20');
  await expect(served(page)).toHaveText(/5 boards of 5/);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'beta 1.2.0' })).toBeVisible();
  await expect(page.getByText('1.2.0 (beta) for not chip “esp32c3”')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Plan' })).toContainText('In 3 waves: 1 device, 50 %, 100 %');
  const changed = await shown(page, demo, token);
  expect(changed).toMatchObject({
    state: 'draft',
    version: '1.2.0',
    target: { not: { chips: ['esp32c3'] } },
    plan: { waves: [{ count: 1 }, { percent: 50 }, { percent: 100 }], limit: { percent: 20 } },
  });

  // A program changes it, too, while the form is open: in a way that the form cannot say.
  await page.getByRole('link', { name: 'Change the plan' }).click();
  await expect(served(page)).toHaveText(/5 boards of 5/);
  const target = { or: [{ chips: ['esp32c3'] }, { name: 'nothing is called so' }] };
  const health = { window_s: 30, silence_s: 20, min_heap: 1000, max_heap_loss_percent: null, telemetry: true };
  const theirs = { ...changed.plan, patience_s: 77, health };
  await demo.ask('PATCH', `/rollouts/${changed.id}`, token, { target, plan: theirs });
  const notice = page.getByRole('alert').filter({ hasText: 'Somebody has changed this plan' });
  await expect(notice).toBeVisible();
  await expectWellMade(page);
  await notice.getByRole('button', { name: 'Show theirs' }).click();
  await expect(notice).toBeHidden();
  await expect(page.getByText('This was put together elsewhere')).toBeVisible();
  await expect(served(page)).toHaveText(/7 boards of 7/);
  await page.getByLabel('Name').fill('By hand');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'By hand' })).toBeVisible();
  expect(await shown(page, demo, token)).toMatchObject({ target, plan: theirs });

  // What has begun is no longer changed, whatever address one knows.
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText('Running', { exact: true })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Change the plan' })).toBeHidden();
  await page.goto(`${demo.url}/ui/firmware/rollouts/${changed.id}/edit`);
  await expect(page.getByText('This plan cannot be changed')).toBeVisible();
  await demo.stop();
});

test('a second person approves a rollout in a browser of their own; nobody approves what they made or started', async ({
  page,
  browser,
}) => {
  test.setTimeout(180_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  const theirs = await demo.signUp('second');
  const second = await demo.ask<{ id: string }>('GET', '/me', theirs);
  await demo.ask('PATCH', `/admin/users/${second.id}`, token, { role: 'admin' });

  await plan(page, '1.1.0');
  await page.getByText('When, how fast, who approves').click();
  await closedHours(page);
  await page.getByLabel('A second person must approve it').check();
  await expect(served(page)).toHaveText(/12 boards of 12/);
  await page.getByRole('button', { name: 'Ask for approval' }).click();
  await expect(page.getByText('Awaits approval', { exact: true })).toBeVisible();
  await expect(page.getByText(OWN)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Abort' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Approve' })).toHaveCount(0);
  const asked = await shown(page, demo, token);
  // The page is not what refuses it.
  await expect(demo.ask('POST', `/rollouts/${asked.id}/approve`, token)).rejects.toThrow(OWN);
  expect((await shown(page, demo, token)).state).toBe('awaiting_approval');
  await page.evaluate(() => ((window as unknown as { untouched: boolean }).untouched = true));

  const other = await (await browser.newContext()).newPage();
  await signIn(other, demo, 'second');
  await openArea(other, 'Firmware');
  await other.getByRole('link', { name: 'Rollouts' }).click();
  await other.getByRole('link', { name: 'stable 1.1.0' }).click();
  await expect(other.getByText('Made by demo. It begins when somebody else has approved it.')).toBeVisible();
  await expect(other.getByRole('link', { name: 'Change the plan' })).toHaveCount(0);
  await expectWellMade(other);
  await other.getByRole('button', { name: 'Approve' }).click();
  await other.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
  await expect(other.getByText('Running', { exact: true })).toBeVisible();

  // Who asked sees it at once.
  await expect(page.getByText('Running', { exact: true })).toBeVisible();
  await expect(page.getByRole('region', { name: 'What happened' })).toContainText('Approved by second.');
  expect(await page.evaluate(() => (window as unknown as { untouched?: boolean }).untouched)).toBe(true);
  expect(await shown(page, demo, token)).toMatchObject({ state: 'running', approved_by: second.id });

  // Who starts what another one made has asked for approval, too.
  const draft = await demo.ask<Rollout>('POST', '/rollouts', token, {
    release_id: (await demo.ask<{ release_id: string }>('GET', `/rollouts/${asked.id}`, token)).release_id,
    name: 'Made by one, started by another',
    target: 'everything',
    plan: { approval: true },
  });
  await other.goto(`${demo.url}/ui/firmware/rollouts/${draft.id}`);
  await other.getByRole('button', { name: 'Start' }).click();
  await expect(other.getByText(OWN)).toBeVisible();
  await expect(other.getByRole('button', { name: 'Approve' })).toHaveCount(0);
  await expect(demo.ask('POST', `/rollouts/${draft.id}/approve`, theirs)).rejects.toThrow(OWN);
  await other.context().close();
  await demo.stop();
});

test('a rollout waits for its day and its hours, and says so board by board', async ({ page }) => {
  test.setTimeout(180_000);
  const demo = await demoOfItsOwn(page);
  const token = await demo.login('demo');
  await plan(page, '1.1.0');
  await page.getByText('When, how fast, who approves').click();
  await page.getByLabel('Begin at').fill('2031-03-30T12:30');
  await page.getByLabel('Only at certain hours').check();
  const night = page.getByRole('group', { name: 'Hours 1' });
  await night.getByLabel('from').fill('22:00');
  await night.getByLabel('to', { exact: true }).fill('04:00');
  await night.getByLabel('Mon').check();
  await night.getByLabel('Tue').check();
  await page.getByRole('button', { name: 'Other hours, too' }).click();
  const noon = page.getByRole('group', { name: 'Hours 2' });
  await noon.getByLabel('from').fill('12:00');
  await noon.getByLabel('to', { exact: true }).fill('13:00');
  await expectWellMade(page);

  await page.getByLabel('Time zone').fill('Mars/Olympus');
  await page.getByRole('button', { name: 'Schedule' }).click();
  await expect(
    page
      .getByRole('main')
      .getByRole('alert')
      .filter({ hasText: /time.zone/i })
      .first(),
  ).toBeVisible();
  await expect(page.getByRole('heading', { level: 1, name: 'New rollout' })).toBeVisible();
  await page.getByLabel('Time zone').fill('Asia/Tokyo');
  await page.getByRole('button', { name: 'Schedule' }).click();

  await expect(page.getByRole('heading', { level: 1, name: 'stable 1.1.0' })).toBeVisible();
  await expect(page.getByText('Scheduled', { exact: true })).toBeVisible();
  const shownPlan = page.getByRole('region', { name: 'Plan' });
  await expect(shownPlan).toContainText('It begins');
  await expect(shownPlan).toContainText("Mon, Tue from 22:00 to 04:00, in each board's own time (else Asia/Tokyo)");
  await expect(shownPlan).toContainText("Every day from 12:00 to 13:00, in each board's own time (else Asia/Tokyo)");
  // Summer time begins on that day in Berlin.
  expect((await shown(page, demo, token)).plan).toMatchObject({
    start_at: '2031-03-30T10:30:00.000Z',
    time_zone: 'Asia/Tokyo',
    windows: [
      { weekdays: ['mon', 'tue'], from: '22:00', to: '04:00' },
      { weekdays: [], from: '12:00', to: '13:00' },
    ],
  });

  // It is to begin now after all, though only in hours that are not yet.
  await page.getByRole('link', { name: 'Change the plan' }).click();
  await expect(page.getByLabel('Begin at')).toHaveValue('2031-03-30T12:30');
  await expect(noon.getByLabel('from')).toHaveValue('12:00');
  await noon.getByRole('button', { name: 'Remove hours 2' }).click();
  await page.getByLabel('Begin at').fill('');
  const hours = await closedHours(page);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByText('Running', { exact: true })).toBeVisible();
  await expect(shownPlan).toContainText(
    `Every day from ${hours.from} to ${hours.to}, in each board's own time (else UTC)`,
  );
  const boards = page.getByRole('region', { name: 'Boards' });
  await expect(boards.getByRole('button', { name: /: Waiting/ })).toHaveCount(12);
  await boards
    .getByRole('button', { name: /: Waiting/ })
    .first()
    .click();
  await expect(boards.getByText('Its maintenance window is closed.')).toBeVisible();
  await expect(boards.getByText(/^Until/)).toBeVisible();
  await expectWellMade(page);
  await demo.stop();
});
