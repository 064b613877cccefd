// Runs the tests of the package in MicroPython's interpreter for Unix, which has sockets, TLS and littlefs of its own, and the little
// heap of a board, against a running server. The tests in `unix/` need that one; the others run in both interpreters.
//
//   ESPALIER_URL=… ESPALIER_SESSION=… node unix.mjs MICROPYTHON FOLDER SCRATCH [FILE…]
//
// FOLDER holds the package as it is installed, SCRATCH is an empty folder. Certificates are made by `openssl`.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { operations } from './operations.mjs';

const { ESPALIER_URL: server, ESPALIER_SESSION: session } = process.env;
const [micropython, folder, scratch, ...chosen] = process.argv.slice(2);
if (!server || !session || !scratch) {
  console.error('usage: ESPALIER_URL=… ESPALIER_SESSION=… node unix.mjs MICROPYTHON FOLDER SCRATCH [FILE…]');
  process.exit(2);
}
const here = import.meta.dirname;
const at = (...names) => path.join(scratch, ...names);

function openssl(...args) {
  const run = spawnSync('openssl', args, { cwd: at('certificates'), encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`openssl ${args.join(' ')}: ${run.stderr ?? run.error}`);
}
const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function authority(name) {
  openssl('req', '-x509', ...request, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '30', '-subj', `/CN=${name}`);
  openssl('x509', '-in', `${name}.pem`, '-outform', 'DER', '-out', `${name}.der`);
}
function leaf(name, signer, names, days = '30') {
  fs.writeFileSync(at('certificates', 'names'), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`);
  openssl('req', '-new', ...request, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${signer}.pem`, '-CAkey', `${signer}.key`, '-CAcreateserial', '-out', `${name}.pem`, '-days', days, '-extfile', 'names');
}
function certificates() {
  fs.mkdirSync(at('certificates'), { recursive: true });
  authority('ca');
  authority('other-ca');
  leaf('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
  leaf('elsewhere', 'ca', 'DNS:elsewhere.example');
  leaf('expired', 'ca', 'DNS:localhost,IP:127.0.0.1', '-1');
  leaf('stranger', 'other-ca', 'DNS:localhost,IP:127.0.0.1');
  leaf('forged', 'good', 'DNS:localhost,IP:127.0.0.1');
  // What a server sends that signs with a certificate that may not sign.
  fs.appendFileSync(at('certificates', 'forged.pem'), fs.readFileSync(at('certificates', 'good.pem')));
}

function install(from, to, skip = []) {
  fs.mkdirSync(at(to), { recursive: true });
  for (const name of fs.readdirSync(from)) {
    if (/\.m?py$/.test(name) && !skip.includes(name)) fs.copyFileSync(path.join(from, name), at(to, name));
  }
}
fs.mkdirSync(at('lib'), { recursive: true });
install(folder, 'lib/espalier');
install(path.join(here, '../app'), 'app');
// This interpreter has the real one.
install(path.join(here, 'shims'), 'shims', ['socket.py']);
install(here, 'tests');
install(path.join(here, 'unix'), 'tests');
certificates();
fs.copyFileSync(at('certificates', 'ca.der'), at('tests', 'ca.der'));
fs.copyFileSync(at('certificates', 'other-ca.der'), at('tests', 'other-ca.der'));
fs.copyFileSync(at('certificates', 'ca.pem'), at('tests', 'ca.pem'));

/** Serves the operations to one interpreter after the other. */
function serve() {
  const listener = net.createServer((socket) => {
    const all = operations(server, session, at('certificates'));
    const lines = createInterface({ input: socket });
    for (const one of [socket, lines]) one.on('error', () => {});
    lines.on('line', async (line) => {
      const { name, args } = JSON.parse(line);
      try {
        socket.write(`${JSON.stringify((await all[name](args)) ?? null)}\n`);
      } catch (error) {
        socket.write(`!${String(error).replaceAll('\n', ' ')}\n`);
      }
    });
  });
  return new Promise((done) => listener.listen(0, '127.0.0.1', () => done(listener.address().port)));
}

/** Runs one file; its output, and how it ended. */
function run(name, port) {
  const env = { ESPALIER_OPERATIONS: String(port), HOME: scratch };
  const child = spawn(micropython, ['-X', 'heapsize=1024k', path.join(here, 'unix/start.py'), scratch, name], { env });
  let said = '';
  child.stdout.on('data', (piece) => (said += piece));
  child.stderr.on('data', (piece) => (said += piece));
  return new Promise((done) => child.on('close', (code) => done({ code, said })));
}

const port = await serve();
const sums = { passed: 0, failed: 0 };
const names = fs.readdirSync(at('tests')).filter((name) => /^test_.*\.py$/.test(name)).map((name) => name.slice(0, -3));
for (const name of chosen.length ? chosen : names) {
  const { code, said } = await run(name, port);
  const counts = /^passed (\d+) failed (\d+)$/m.exec(said);
  sums.passed += Number(counts?.[1] ?? 0);
  sums.failed += Number(counts?.[2] ?? 1);
  if (code !== 0 || !counts || counts[2] !== '0') console.error(`${name} ended with ${code}:\n${said}`);
}
console.log(`MicroPython for Unix: ${sums.passed} passed, ${sums.failed} failed`);
process.exit(sums.failed === 0 && sums.passed > 0 ? 0 : 1);
