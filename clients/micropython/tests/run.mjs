// Runs the tests of the package in the real MicroPython interpreter (its WebAssembly build) against a running server.
//
//   ESPALIER_URL=… ESPALIER_SESSION=… node run.mjs FOLDER [PROGRAM]
//
// With a PROGRAM only that is run, as a board's main.py. FOLDER holds the package as it is installed, `.py` or `.mpy`. Each `test_*.py`
// here gets an interpreter of its own; each function `test_…` in it is one test; those in `unix/` need the other one. `socket`, `network` and `machine`, which this build lacks, are the shims in `shims/`.
import { loadMicroPython } from '@micropython/micropython-webassembly-pyscript/micropython.mjs';
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

const { ESPALIER_URL: server, ESPALIER_SESSION: session } = process.env;
const [folder, program] = process.argv.slice(2);
if (!server || !session || !folder) {
  console.error('usage: ESPALIER_URL=… ESPALIER_SESSION=… node run.mjs FOLDER [PROGRAM]');
  process.exit(2);
}
const here = import.meta.dirname;

const shared = new SharedArrayBuffer(8 + (1 << 20));
const control = new Int32Array(shared, 0, 2);
const bytes = new Uint8Array(shared, 8);
const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { shared, server, session } });

function call(name, args) {
  Atomics.store(control, 0, 0);
  worker.postMessage([name, args]);
  if (Atomics.wait(control, 0, 0, 60_000) === 'timed-out') throw new Error(`${name} took longer than a minute`);
  const answer = JSON.parse(new TextDecoder().decode(bytes.slice(0, control[1])));
  if (answer.error) throw new Error(answer.error);
  return answer.value;
}
// Numbers of MicroPython's bridge have 32 bits, so everything travels as JSON text.
const host = { call: (name, args) => JSON.stringify(call(name, JSON.parse(args))) };

const gate = call('plug', []);
const board = `http://127.0.0.1:${gate}`;

function install(mp, from, to) {
  mp.FS.mkdir(to);
  for (const name of fs.readdirSync(from)) {
    if (/\.m?py$/.test(name)) mp.FS.writeFile(`${to}/${name}`, fs.readFileSync(path.join(from, name)));
  }
}

async function interpreter() {
  const mp = await loadMicroPython({ heapsize: 512 * 1024, stdout: (line) => console.log(`      ${line}`) });
  mp.registerJsModule('_host', host);
  install(mp, path.join(here, 'shims'), '/shims');
  mp.FS.mkdir('/lib');
  install(mp, folder, '/lib/espalier');
  install(mp, path.join(here, '../app'), '/app');
  mp.runPython(`import sys\nsys.path.insert(0, '/shims')\nimport prepare\nprepare.board = ${JSON.stringify(board)}`);
  return mp;
}

if (program) {
  const mp = await interpreter();
  mp.runPython(fs.readFileSync(program, 'utf8'));
  await worker.terminate();
  process.exit(0);
}

let failed = 0;
let passed = 0;
for (const file of fs.readdirSync(here).filter((name) => /^test_.*\.py$/.test(name))) {
  const mp = await interpreter();
  mp.FS.writeFile('/tests.py', fs.readFileSync(path.join(here, file)));
  mp.runPython(`import json, tests\n_names = json.dumps(sorted(name for name in dir(tests) if name.startswith('test_')))`);
  for (const name of JSON.parse(mp.globals.get('_names'))) {
    try {
      mp.runPython(`tests.${name}()`);
      passed += 1;
    } catch (error) {
      failed += 1;
      console.error(`FAILED ${file}: ${name}\n${String(error.message).trim().slice(0, 2000)}`);
    }
  }
}
await worker.terminate();
console.log(`MicroPython: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
