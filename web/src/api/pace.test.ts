import { expect, test } from 'vitest';
import { paced } from './pace';

const ask = (method = 'GET') => new Request('http://127.0.0.1/x', { method });
const refused = (after: string) => new Response(null, { status: 429, headers: { 'retry-after': after } });

/** A clock that moves only when somebody sleeps. */
function clock() {
  let at = 0;
  const waiting: { until: number; go: () => void }[] = [];
  return {
    now: () => at,
    sleep: (ms: number) => new Promise<void>((go) => void waiting.push({ until: at + ms, go })),
    async run() {
      for (let idle = 0; idle < 20; idle++) {
        await new Promise((done) => setImmediate(done));
        waiting.sort((a, b) => a.until - b.until);
        const first = waiting.shift();
        if (!first) continue;
        at = Math.max(at, first.until);
        first.go();
        idle = 0;
      }
    },
  };
}

test('reading that is refused comes again in turn', async () => {
  const time = clock();
  const sent: number[] = [];
  let refusals = 3;
  const send = async () => {
    sent.push(time.now());
    return refusals-- > 0 ? refused('1') : new Response('ok');
  };
  const get = paced(send, time);
  const answers = [get(ask()), get(ask()), get(ask())];
  await time.run();
  expect((await Promise.all(answers)).map((answer) => answer.status)).toEqual([200, 200, 200]);
  expect(sent).toEqual([0, 0, 0, 1000, 1650, 2300]);
});

test('control is never held back, a long pause is told, and there is an end', async () => {
  const time = clock();
  let count = 0;
  const answer = (after: string) => async () => (count++, refused(after));
  expect((await paced(answer('1'), time)(ask('POST'))).status).toBe(429);
  expect((await paced(answer('60'), time)(ask())).status).toBe(429);
  expect(count).toBe(2);
  const last = paced(answer('1'), time)(ask());
  await time.run();
  expect((await last).status).toBe(429);
  expect(count).toBe(6);
});
