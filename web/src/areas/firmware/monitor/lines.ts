// Bytes of a serial port as lines with their time. A line that is not finished is shown when nothing more comes, as prompts
// are. It knows no port and no page.

import { pieces, type Piece, type Style } from './ansi';

export interface Line {
  id: number;
  /** When its first byte came, ms since 1970. */
  at: number;
  /** From the board, from us, or about the connection. */
  kind: 'in' | 'out' | 'note';
  pieces: Piece[];
  /** Without escape sequences. */
  text: string;
}

/** Lines that are kept; then the oldest go. */
export const MOST = 5_000;
/** A board that never ends a line must not fill the memory. */
const LONGEST = 2_000;
/** Hiding less than this would hide half of every line. */
const SHORTEST_SECRET = 4;

export class Lines {
  /** Oldest first. Replaced, never changed in place, when `take` or `note` adds something. */
  list: Line[] = [];

  #decoder = new TextDecoder();
  #rest = '';
  #restAt = 0;
  #style: Style = {};
  #next = 1;
  #secrets: string[] = [];
  /** The unfinished line as it is shown already. */
  #open: Line | undefined;

  /** Takes in bytes that came at a time. */
  take(bytes: Uint8Array, at: number): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return;
    if (!this.#rest) this.#restAt = at;
    const parts = (this.#rest + text).split(/\r\n|\n|\r(?=[^\n])/);
    this.#rest = parts.pop() ?? '';
    const fresh: Line[] = [];
    const finish = (part: string): void => {
      const read = pieces(this.#hidden(part), this.#style);
      this.#style = read.style;
      fresh.push(this.#line('in', read.pieces, this.#restAt, this.#open?.id));
      this.#open = undefined;
      this.#restAt = at;
    };
    const before = this.#open ? this.list.slice(0, -1) : this.list;
    for (const part of parts) finish(part);
    while (this.#rest.length > LONGEST) {
      const part = this.#rest.slice(0, LONGEST);
      this.#rest = this.#rest.slice(LONGEST);
      finish(part);
    }
    // A lone \r at the end may be the first half of \r\n.
    const shown = this.#rest.replace(/\r$/, '');
    if (shown) {
      this.#open = this.#line('in', pieces(this.#hidden(shown), this.#style).pieces, this.#restAt, this.#open?.id);
      fresh.push(this.#open);
    } else {
      this.#open = undefined;
    }
    this.#set([...before, ...fresh]);
  }

  /** Adds a line of our own. */
  add(kind: 'out' | 'note', text: string, at: number): void {
    this.#end();
    this.#set([...this.list, this.#line(kind, [{ text }], at)]);
  }

  /** From now on this text is not written down, also when the board repeats it. */
  hide(secret: string): void {
    if (secret.length >= SHORTEST_SECRET) this.#secrets.push(secret);
  }

  #hidden(text: string): string {
    return this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, '•••'), text);
  }

  clear(): void {
    this.#end();
    this.list = [];
  }

  /** The unfinished line stays as it is; what follows begins a new one. */
  #end(): void {
    this.#rest = '';
    this.#open = undefined;
  }

  #line(kind: Line['kind'], content: Piece[], at: number, id = this.#next++): Line {
    return { id, at, kind, pieces: content, text: content.map(({ text }) => text).join('') };
  }

  #set(list: Line[]): void {
    this.list = list.length > MOST ? list.slice(-MOST) : list;
  }
}

const two = (n: number): string => String(n).padStart(2, '0');

/** "14:03:07.042" in the person's own zone. */
export function clock(at: number): string {
  const date = new Date(at);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

const MARKS = { in: ' ', out: '>', note: '#' } as const;

/** The lines as a text file. */
export function asText(lines: readonly Line[]): string {
  return lines.map(({ at, kind, text }) => `${clock(at)} ${MARKS[kind]} ${text}\n`).join('');
}

/** The lines that contain a text, whatever its case; notes always. */
export function filtered(lines: readonly Line[], needle: string): readonly Line[] {
  const wanted = needle.trim().toLowerCase();
  if (!wanted) return lines;
  return lines.filter((line) => line.kind === 'note' || line.text.toLowerCase().includes(wanted));
}

/** Whether the board has just asked for something that nobody else should read. */
export function asksSecret(lines: readonly Line[]): boolean {
  const last = lines.at(-1);
  return last?.kind === 'in' && /\b(pass\w*|token|key|secret)\b[^:]{0,40}:\s*$/i.test(last.text);
}

/**
 * What a typed line looks like in the log. What follows `provision` may be a token or a password: the log can be copied
 * and sent to somebody.
 */
export function spoken(line: string, secret: boolean): string {
  if (secret) return '•••';
  const [command] = line.trimStart().split(/\s/, 1);
  return command?.toLowerCase() === 'provision' && line.trim().length > command.length ? `${command} •••` : line;
}
