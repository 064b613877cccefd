// The example Update on a board that is a process, from the first check to the new image and no further one.
//
//   ESPALIER_URL=… ESPALIER_SESSION=… ESPALIER_PROGRAM=espalier node update.mjs SKETCH FOLDER
//
// SKETCH is the compiled example, FOLDER an empty one for its files. The server must want signatures, as it does by itself.
import { createHash } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const { ESPALIER_URL: server, ESPALIER_SESSION: session, ESPALIER_PROGRAM: program } = process.env;
const [sketch, folder] = process.argv.slice(2);
if (!server || !session || !program || !sketch || !folder) {
  console.error('usage: ESPALIER_URL=… ESPALIER_SESSION=… ESPALIER_PROGRAM=… node update.mjs SKETCH FOLDER');
  process.exit(2);
}
const at = (name) => path.join(folder, name);

async function ask(method, to, body, headers = {}) {
  const json = body && !(body instanceof FormData);
  const answer = await fetch(new URL(to, server), {
    method,
    headers: { authorization: `Bearer ${session}`, ...(json ? { 'content-type': 'application/json' } : {}), ...headers },
    body: json ? JSON.stringify(body) : body,
  });
  return answer;
}
async function done(...request) {
  const answer = await ask(...request);
  const text = await answer.text();
  assert.ok(answer.ok, `${request[0]} ${request[1]}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
function espalier(...args) {
  const run = spawnSync(program, args, { cwd: folder, encoding: 'utf8', env: {} });
  assert.equal(run.status, 0, `espalier ${args.join(' ')}: ${run.stderr}`);
}

// Images for the chip of the example; the first is what the board was flashed with.
for (const version of ['1.0.0', '1.1.0']) {
  espalier('sim', 'firmware', '--chip', 'esp32', '--version', version, '--size', '64', '--out', `${version}.bin`);
}
espalier('firmware', 'keygen', '--out', 'release');
espalier('firmware', 'sign', '1.1.0.bin', '--key', 'release.key');
const image = fs.readFileSync(at('1.1.0.bin'));
const md5 = createHash('md5').update(image).digest('hex');
await done('POST', '/firmware/keys', { name: 'release', public_key: fs.readFileSync(at('release.pub'), 'utf8') });

const device = await done('POST', '/devices', { name: 'arduino-update' });
fs.copyFileSync(at('1.0.0.bin'), at('flash.bin'));
function environment() {
  return {
    ESPALIER_URL: server,
    ESPALIER_DEVICE: device.id,
    ESPALIER_TOKEN: device.device_token,
    ESPALIER_FAKE_FLASH: at('flash.bin'),
    ESPALIER_FAKE_FILES: folder,
    ESPALIER_RUN_MS: '30000',
  };
}
function run() {
  const { status, stdout, stderr } = spawnSync(sketch, { encoding: 'utf8', env: environment(), timeout: 60_000 });
  return { status, said: stdout + stderr };
}

// Nothing is there to install.
let ran = run();
assert.deepEqual([ran.status, /installing/.test(ran.said)], [0, false], ran.said);
assert.match(ran.said, /Espalier: online/);

// An image is uploaded and meant for this board.
const form = new FormData();
form.set('firmware', new Blob([image]), '1.1.0.bin');
form.set('signature', fs.readFileSync(at('1.1.0.bin.sig'), 'utf8'));
form.set('device_type', 'Garden_Light');
const kept = await done('POST', '/firmware', form);
await done('POST', `/api/ota/force-update/${device.id}`, { firmware_type: 'Garden_Light' });

// What the board reads: a link to this server, and the digest with the image; a board that runs it gets 304 and no bytes.
const bearer = { authorization: `Bearer ${device.device_token}`, 'x-device-type': 'Garden_Light', 'x-device-version': '1.0.0' };
const check = await ask('GET', `/api/ota/check/${device.id}`, null, bearer);
assert.equal(check.status, 200);
const offer = await check.json();
assert.deepEqual([offer.update_available, offer.version, offer.file_size], [true, '1.1.0', image.length]);
const asUpdater = (digest) => ({ 'x-esp32-mode': 'sketch', 'x-esp32-free-space': '1966080', 'x-esp32-chip-size': '4194304', 'x-esp32-sketch-md5': digest });
const same = await ask('GET', offer.firmware_url, null, { ...bearer, ...asUpdater(md5) });
assert.deepEqual([same.status, (await same.arrayBuffer()).byteLength], [304, 0]);

// The 304 has told the server that this board runs the image, so another one must be forced to begin anew.
const second = await done('POST', '/devices', { name: 'arduino-update-2' });
Object.assign(device, second);
await done('POST', `/api/ota/force-update/${device.id}`, { firmware_type: 'Garden_Light' });

// Something between board and server sends the image elsewhere: the board does not go there, says so, and runs on.
const elsewhere = [];
const stranger = http.createServer((request, answer) => (elsewhere.push(request.url), answer.end(image)));
const between = http.createServer(async (request, answer) => {
  if (request.url.startsWith('/api/ota/download/')) {
    return answer.writeHead(302, { location: `http://127.0.0.1:${stranger.address().port}/image.bin` }).end();
  }
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const names = ['authorization', 'content-type', 'x-device-type', 'x-device-version'].filter((name) => request.headers[name]);
  const headers = Object.fromEntries(names.map((name) => [name, request.headers[name]]));
  const told = await fetch(new URL(request.url, server), { method: request.method, headers, body: pieces.length ? Buffer.concat(pieces) : undefined });
  const text = await told.text();
  answer.writeHead(told.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
});
for (const one of [stranger, between]) await new Promise((ready) => one.listen(0, '127.0.0.1', ready));
const moved = spawn(sketch, { env: { ...environment(), ESPALIER_URL: `http://127.0.0.1:${between.address().port}`, ESPALIER_FAKE_FOLLOW: '1', ESPALIER_RUN_MS: '8000' } });
let movedSaid = '';
moved.stdout.on('data', (piece) => (movedSaid += piece));
moved.stderr.on('data', (piece) => (movedSaid += piece));
const movedStatus = await new Promise((done) => moved.on('close', done));
assert.deepEqual([movedStatus, elsewhere], [0, []], movedSaid);
assert.match(movedSaid, /Espalier: the update was not installed: Wrong HTTP Code 302/);
assert.ok(!fs.readFileSync(at('flash.bin')).equals(image));
for (const one of [stranger, between]) one.close();

// The sketch installs it, compares its MD5 and restarts; what is in its flash is the image.
ran = run();
assert.equal(ran.status, 42, ran.said);
assert.match(ran.said, /Espalier: installing 1\.1\.0/);
assert.match(ran.said, new RegExp(`updater: status 200, x-MD5 ${md5}`));
assert.ok(fs.readFileSync(at('flash.bin')).equals(image));

// After the restart it is not told to install anything, whatever version is compiled in.
for (let turn = 0; turn < 2; turn += 1) {
  ran = run();
  assert.deepEqual([ran.status, /installing/.test(ran.said)], [0, false], ran.said);
}
const [update] = (await done('GET', `/devices/${device.id}/updates`)).data;
assert.ok(['written', 'confirmed'].includes(update.state), JSON.stringify(update));
const downloads = (await done('GET', `/firmware/${kept.id}`)).downloads;
console.log(`update: ok (${update.state}, ${downloads ?? '?'} downloads)`);
