// Measures, and judges nothing: how many pictures a second the page draws with 1,000 devices that report, and with 50
// live charts. Run with `npm run smooth`. Without a graphics card Chromium draws in software, which is the slower case.

import type { Page } from '@playwright/test';
import { expect, signIn, test } from './fixtures';

interface Board {
  id: string;
  device_token: string;
}

const DEVICES = 1_000;
const CHARTS = 50;
/** How long is measured, ms. */
const WHILE = 5_000;

/** Pictures per second, the longest wait for one (ms), and the time in tasks of over 50 ms (ms), while `what` happens. */
async function measure(page: Page, what: string, scroll: boolean): Promise<void> {
  const got = await page.evaluate(
    async ({ ms, scroll }) => {
      let long = 0;
      const observer = new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) long += entry.duration;
      });
      observer.observe({ entryTypes: ['longtask'] });
      const start = performance.now();
      let [last, frames, worst] = [start, 0, 0];
      while (last - start < ms) {
        const now = await new Promise<number>((next) => requestAnimationFrame(next));
        worst = Math.max(worst, now - last);
        last = now;
        frames++;
        if (scroll) window.scrollBy(0, 40);
      }
      observer.disconnect();
      return { perSecond: (frames * 1000) / (last - start), worst, long };
    },
    { ms: WHILE, scroll },
  );
  const text = `${got.perSecond.toFixed(0)} pictures/s, longest wait ${got.worst.toFixed(0)} ms, ${got.long.toFixed(0)} ms in long tasks`;
  console.log(`${what}: ${text}`);
}

test('a thousand devices and fifty charts @smooth', async ({ page, demo }) => {
  test.setTimeout(300_000);
  const token = await demo.signUp('fleet');
  const boards: Board[] = [];
  for (let from = 0; from < DEVICES; from += 500) {
    const devices = Array.from({ length: 500 }, (_, i) => ({ name: `Board ${from + i}`, kind: 'weather' }));
    boards.push(...(await demo.ask<Board[]>('POST', '/devices/batch', token, { devices })));
  }
  expect(boards).toHaveLength(DEVICES);
  const { id: dashboard_id } = await demo.ask<{ id: string }>('POST', '/dashboards', token, { name: 'Fifty' });
  for (const board of boards.slice(0, CHARTS)) {
    const config = { key: 'temperature', period: '1h' };
    await demo.ask('POST', '/widgets', token, {
      dashboard_id,
      device_id: board.id,
      type: 'chart',
      label: board.id,
      config,
    });
  }

  // Every board reports every ten seconds, those of the charts every second.
  let stop = false;
  const report = async (some: typeof boards, each: number): Promise<void> => {
    for (let n = 0; !stop; n = (n + 1) % some.length) {
      const board = some[n]!;
      const data = { temperature: 20 + Math.random(), humidity: 50 + Math.random() };
      await demo.ask('POST', `/devices/${board.id}/telemetry`, board.device_token, { data });
      await new Promise((next) => setTimeout(next, each / some.length));
    }
  };
  const reporting = [report(boards, 10_000), report(boards.slice(0, CHARTS), 1_000)];

  await signIn(page, demo, 'fleet');
  await page.goto(`${demo.url}/ui/devices`);
  await expect(page.getByRole('link', { name: 'Board 0', exact: true })).toBeVisible();
  await measure(page, '1,000 devices, still', false);
  await measure(page, '1,000 devices, scrolling', true);
  await page.goto(`${demo.url}/ui/dashboards/${dashboard_id}`);
  await expect(page.locator('.uplot canvas').first()).toBeVisible();
  await measure(page, '50 live charts, still', false);
  await measure(page, '50 live charts, scrolling', true);
  stop = true;
  await Promise.all(reporting);
});
