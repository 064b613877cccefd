// The programs that the page *Add device* shows, taken from the web app's source, for a device of a running server.
//
//   node snippets.mjs write FOLDER    makes a device and writes its programs into FOLDER; runs curl's and MicroPython's
//   node snippets.mjs check FOLDER    insists that the values of all programs have arrived
//
// The Arduino program is compiled and run between the two by whoever calls this.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const { ESPALIER_URL: server, ESPALIER_SESSION: session } = process.env;
const [what, folder] = process.argv.slice(2);
if (!server || !session || !folder || !['write', 'check'].includes(what)) {
  console.error('usage: ESPALIER_URL=… ESPALIER_SESSION=… node snippets.mjs write|check FOLDER');
  process.exit(2);
}
const root = path.join(import.meta.dirname, '../..');
const at = (name) => path.join(folder, name);

async function ask(method, to, body) {
  const headers = { authorization: `Bearer ${session}`, 'content-type': 'application/json' };
  const answer = await fetch(new URL(to, server), { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${to}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

/** The source of the web app as a module that Node can load. */
async function programs(access) {
  const typescript = createRequire(path.join(root, 'web/package.json'))('typescript');
  const source = fs.readFileSync(path.join(root, 'web/src/areas/devices/add/snippets.ts'), 'utf8');
  const { outputText } = typescript.transpileModule(source, { compilerOptions: { target: 'ES2022', module: 'ESNext' } });
  fs.writeFileSync(at('snippets.mjs'), outputText);
  return (await import(at('snippets.mjs'))).snippets(access);
}

async function write() {
  const device = await ask('POST', '/devices', { name: 'snippets' });
  // The fake board skips the pauses, MicroPython would sleep.
  const access = (interval) => ({ origin: server, id: device.id, token: device.device_token, interval });
  const by = (all) => Object.fromEntries(all.map((one) => [one.id, one]));
  const all = { ...by(await programs(access(0))), arduino: by(await programs(access(10))).arduino };
  fs.writeFileSync(at('espalier.ino'), all.arduino.text);
  fs.writeFileSync(at('device.json'), JSON.stringify(device.id));

  const curl = spawnSync('sh', ['-c', all.curl.text], { encoding: 'utf8' });
  assert.ok(curl.status === 0 && JSON.parse(curl.stdout).message === 'ok', curl.stdout + curl.stderr);

  // It runs for ever; two rounds are enough here.
  const endless = 'while True:\n    values';
  assert.ok(all.micropython.text.includes(endless), 'the MicroPython program has another loop than this test expects');
  fs.writeFileSync(at('main.py'), all.micropython.text.replace(endless, 'for _ in range(2):\n    values'));
  const runner = path.join(root, 'clients/micropython/tests/run.mjs');
  const run = spawnSync('node', [runner, path.join(root, 'clients/micropython/espalier'), at('main.py')], { encoding: 'utf8', env: process.env });
  assert.equal(run.status, 0, run.stdout + run.stderr);
}

async function check() {
  const id = JSON.parse(fs.readFileSync(at('device.json'), 'utf8'));
  const values = async (key) => {
    const query = `device_id=${id}&key=${key}&from=2001-01-01T00:00:00Z&format=series&limit=1000`;
    const { series } = await ask('GET', `/telemetry/history?${query}`);
    return series[0]?.points.length ?? 0;
  };
  // curl sends once, MicroPython twice, the Arduino sketch at least once.
  assert.equal(await values('temperature'), 1, 'the values of curl');
  assert.ok((await values('rssi')) >= 3, 'the values of MicroPython and of the Arduino sketch');
  console.log('programs of the page: their values arrived');
}

await { write, check }[what]();
