import { expect, it } from 'vitest';
import { pieces } from './ansi';

const text = (line: string): string =>
  pieces(line)
    .pieces.map((one) => one.text)
    .join('');

it('colours what the firmware colours', () => {
  expect(pieces('\x1b[0;32mI (24) boot: ready\x1b[0m').pieces).toEqual([{ text: 'I (24) boot: ready', ink: 'green' }]);
  expect(pieces('a \x1b[1;31mb\x1b[22m c\x1b[39m d').pieces).toEqual([
    { text: 'a ' },
    { text: 'b', ink: 'red', bold: true },
    { text: ' c', ink: 'red' },
    { text: ' d' },
  ]);
});

it('goes on with the colour of the line before', () => {
  const first = pieces('\x1b[33mwarning');
  expect(pieces('more\x1b[m and less', first.style).pieces).toEqual([
    { text: 'more', ink: 'yellow' },
    { text: ' and less' },
  ]);
});

it('drops everything that would move, hide or retitle', () => {
  expect(text('\x1b[2J\x1b[10;20Hhere\x1b[K')).toBe('here');
  expect(text('\x1b]0;title\x07text')).toBe('text');
  expect(text('a\x08b\x00c\td')).toBe('abc\td');
  expect(text('\x1b[38;5;196mred\x1b[48;2;1;2;3m')).toBe('red');
  expect(text('cut off \x1b[3')).toBe('cut off [3');
});
