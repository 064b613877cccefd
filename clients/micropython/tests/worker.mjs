// The other thread: does what blocks. MicroPython runs on the main thread and waits in shared memory until the answer is there.
import { parentPort, workerData } from 'node:worker_threads';
import { operations } from './operations.mjs';

const control = new Int32Array(workerData.shared, 0, 2);
const bytes = new Uint8Array(workerData.shared, 8);
const all = operations(workerData.server, workerData.session);

parentPort.on('message', async ([name, args]) => {
  let answer;
  try {
    answer = { value: await all[name](args) };
  } catch (error) {
    answer = { error: String(error) };
  }
  const text = new TextEncoder().encode(JSON.stringify(answer));
  bytes.set(text);
  control[1] = text.length;
  Atomics.store(control, 0, 1);
  Atomics.notify(control, 0);
});
