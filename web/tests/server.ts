// A real `espalier` process with a data folder of its own, and what a test asks it behind the browser's back.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const PASSWORD = 'Correct-horse-1';

/** A running server; `demo` brings twelve simulated boards. */
export class Server {
  url = '';
  /** The one-time link to the first account, while nobody has used it. */
  link = '';
  #process: ChildProcess | undefined;
  /** The folder with everything it keeps. */
  readonly data = mkdtempSync(join(tmpdir(), 'espalier-story-'));
  #mode: 'demo' | 'serve';
  #listen = '127.0.0.1:0';

  constructor(mode: 'demo' | 'serve') {
    this.#mode = mode;
  }

  async start(): Promise<this> {
    const program = process.env.ESPALIER_PROGRAM;
    if (!program) throw new Error('ESPALIER_PROGRAM is not set: run the stories with `cargo xtask test --web`.');
    const child = spawn(program, [this.#mode, '--listen', this.#listen, '--data', this.data], {
      env: {
        PATH: process.env.PATH,
        ESPALIER_SIGNUP: 'open',
        // Stories of a minute do what people do in a day.
        ESPALIER_RATE_LIMIT_REQUESTS: '100000',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    let out = '';
    await new Promise<void>((ready, fail) => {
      const read = (chunk: Buffer): void => {
        out += chunk.toString();
        this.url ||= /^listening on (http:\S+)/m.exec(out)?.[1] ?? '';
        this.link = /(http:\S+\/setup\?token=\S+)/.exec(out)?.[1] ?? this.link;
        if (this.url && (this.link || this.#listen !== '127.0.0.1:0')) ready();
      };
      child.stdout!.on('data', read);
      child.stderr!.on('data', read);
      child.once('exit', () => fail(new Error(`espalier ended before it listened:\n${out}`)));
    });
    // Started again, it must be found where it was.
    this.#listen = new URL(this.url).host;
    return this;
  }

  /** Ends the process as a power cut does. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }

  /** Asks the API as a program with a token. */
  async ask<T>(method: string, path: string, token: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** A token for programs of an account. */
  async login(name: string): Promise<string> {
    const answer = await this.ask<{ access_token: string }>('POST', '/login', '', { email: name, password: PASSWORD });
    return answer.access_token;
  }

  /** A new account by the open sign-up. */
  async signUp(name: string): Promise<string> {
    const body = { email: `${name}@example.com`, username: name, password: PASSWORD };
    const answer = await this.ask<{ access_token: string }>('POST', '/signup', '', body);
    return answer.access_token;
  }
}
