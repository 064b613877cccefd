import { expect, it } from 'vitest';
import { asksSecret, asText, filtered, Lines, MOST, spoken } from './lines';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

it('makes lines of bytes however they are cut', () => {
  const whole = 'one\r\ntwo ☀\nthree\rfour\r\n';
  for (let cut = 0; cut <= bytes(whole).length; cut++) {
    const lines = new Lines();
    lines.take(bytes(whole).slice(0, cut), 1);
    lines.take(bytes(whole).slice(cut), 2);
    expect(
      lines.list.map(({ text }) => text),
      `cut at ${cut}`,
    ).toEqual(['one', 'two ☀', 'three', 'four']);
  }
});

it('shows a prompt that is not finished, and finishes it in its place', () => {
  const lines = new Lines();
  lines.take(bytes('ready\r\nname: '), 1);
  expect(lines.list.map(({ text }) => text)).toEqual(['ready', 'name: ']);
  const id = lines.list[1]?.id;
  lines.take(bytes('Kitchen\r\n'), 2);
  expect(lines.list.map(({ text }) => text)).toEqual(['ready', 'name: Kitchen']);
  expect(lines.list[1]).toMatchObject({ id, at: 1 });
});

it('keeps so many and no more, and cuts a line that never ends', () => {
  const lines = new Lines();
  for (let i = 0; i < MOST + 5; i++) lines.add('note', String(i), i);
  expect(lines.list.length).toBe(MOST);
  expect(lines.list[0]?.text).toBe('5');
  lines.take(bytes('x'.repeat(10_000)), 1);
  expect(Math.max(...lines.list.map(({ text }) => text.length))).toBeLessThanOrEqual(2_000);
});

it('finds, and writes down with time and direction', () => {
  const lines = new Lines();
  lines.take(bytes('\x1b[32mWi-Fi is up\x1b[0m\r\nsensor failed\r\n'), new Date(2026, 0, 2, 3, 4, 5, 6).getTime());
  lines.add('out', 'status', new Date(2026, 0, 2, 3, 4, 6).getTime());
  expect(filtered(lines.list, ' wi-fi ').map(({ text }) => text)).toEqual(['Wi-Fi is up']);
  expect(asText(lines.list)).toBe('03:04:05.006   Wi-Fi is up\n03:04:05.006   sensor failed\n03:04:06.000 > status\n');
});

it('keeps secrets that are typed out of the log', () => {
  expect(spoken('status', false)).toBe('status');
  expect(spoken('provision', false)).toBe('provision');
  expect(spoken('provision wifi hunter2', false)).toBe('provision •••');
  expect(spoken('hunter2', true)).toBe('•••');
  const lines = new Lines();
  lines.hide('hunter2');
  lines.take(bytes('> hunter2\r\nsaved hunter2 as password\r\nhunter'), 1);
  expect(lines.list.map(({ text }) => text)).toEqual(['> •••', 'saved ••• as password', 'hunter']);
});

it('knows when the console asks for a secret', () => {
  const asked = (text: string): boolean => {
    const lines = new Lines();
    lines.take(bytes(text), 1);
    return asksSecret(lines.list);
  };
  expect(asked('Device Token: \r\n')).toBe(true);
  expect(asked('Password, empty for an open network: \r\n')).toBe(true);
  expect(asked('Wi-Fi password: ')).toBe(true);
  expect(asked('Device ID: \r\n')).toBe(false);
  expect(asked('Password: abcd-efgh\r\n')).toBe(false);
  expect(asked('Device Token: \r\nSaved.\r\n')).toBe(false);
});
