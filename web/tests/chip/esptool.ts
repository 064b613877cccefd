// Espressif's own esptool, run against a simulated chip.

import { execFile } from 'node:child_process';

/** Runs esptool against the port and gives what it said; throws when it fails. */
export function esptool(port: number, args: string[]): Promise<string> {
  const program = process.env.ESPTOOL;
  if (!program) throw new Error('ESPTOOL is not set: run the stories with `cargo xtask test --web`.');
  const all = ['--port', `socket://127.0.0.1:${port}`, '--before', 'no-reset', '--after', 'no-reset', ...args];
  return new Promise((done, fail) =>
    execFile(program, all, { encoding: 'utf8' }, (error, out, err) =>
      error ? fail(new Error(`esptool ${args.join(' ')}: ${error.message}\n${out}\n${err}`)) : done(out + err),
    ),
  );
}
