// What boards print: text with the terminal's escape sequences. Colours become names of our own; every other sequence is
// dropped, so that nothing on a line can move or hide another. It is no terminal.

export type Ink = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan';

export interface Piece {
  text: string;
  ink?: Ink;
  bold?: boolean;
}

const INKS: (Ink | undefined)[] = [undefined, 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', undefined];

// CSI, OSC and two-character sequences; then what is left of control characters, but for tabs.
// eslint-disable-next-line no-control-regex
const SEQUENCE =
  /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[@-Z\\-_]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

export interface Style {
  ink?: Ink | undefined;
  bold?: boolean | undefined;
}

/** Reads one line; `style` goes on from line to line until it is reset. */
export function pieces(line: string, style: Style = {}): { pieces: Piece[]; style: Style } {
  const out: Piece[] = [];
  let now = { ...style };
  let at = 0;
  const add = (text: string): void => {
    if (!text) return;
    out.push({ text, ...(now.ink ? { ink: now.ink } : {}), ...(now.bold ? { bold: true } : {}) });
  };
  for (const found of line.matchAll(SEQUENCE)) {
    add(line.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[2] === 'm') now = restyle(now, found[1] ?? '');
  }
  add(line.slice(at));
  return { pieces: out, style: now };
}

function restyle(style: Style, numbers: string): Style {
  const now = { ...style };
  const list = numbers.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i++) {
    const n = list[i] ?? 0;
    if (n === 0) now.ink = now.bold = undefined;
    else if (n === 1) now.bold = true;
    else if (n === 22) now.bold = undefined;
    else if (n === 39) now.ink = undefined;
    else if ((n >= 30 && n <= 37) || (n >= 90 && n <= 97)) now.ink = INKS[n % 10];
    // Colours out of a palette have their numbers behind them.
    else if (n === 38 || n === 48) i += list[i + 1] === 5 ? 2 : 4;
  }
  return now;
}
