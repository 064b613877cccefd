// What to do when the server says that we ask too often: reading waits its turn instead of failing.
//
// Only reading: whoever presses a switch wants to know at once.

/** The longest wait that is worth it without telling the person, seconds. */
const LONGEST_S = 10;
/** Between two waiting requests, ms: a little slower than the server's usual rate gives them back. */
const SPACING_MS = 650;
const TRIES = 4;

interface Tools {
  now: () => number;
  sleep: (ms: number) => Promise<void>;
}
const REAL: Tools = { now: Date.now, sleep: (ms) => new Promise((done) => setTimeout(done, ms)) };

/** Wraps a `fetch`: a GET that is refused with 429 and a short `Retry-After` is asked again, one after another. */
export function paced(
  send: (request: Request) => Promise<Response>,
  { now, sleep }: Tools = REAL,
): (request: Request) => Promise<Response> {
  // When the next GET may go; in the past while nobody was refused lately.
  let next = 0;
  return async (request) => {
    if (request.method !== 'GET') return send(request);
    for (let tries = 1; ; tries++) {
      const wait = next - now();
      if (wait > 0) {
        next += SPACING_MS;
        await sleep(wait);
      }
      const answer = await send(request.clone());
      const after = Number(answer.headers.get('retry-after') ?? NaN);
      if (answer.status !== 429 || tries === TRIES || !(after <= LONGEST_S)) return answer;
      next = Math.max(next, now() + after * 1000);
    }
  };
}
