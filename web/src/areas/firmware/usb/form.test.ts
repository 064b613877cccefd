import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { boardName, certificate, check, keyDigits, origin, portalPassword, tooLong, type Form } from './form';
import type { Settings } from './record';

const golden = JSON.parse(
  readFileSync(
    fileURLToPath(new URL('../../../../../crates/espalier-device/tests/data/settings-record.json', import.meta.url)),
    'utf8',
  ),
) as Settings & { ca: string };
const pem = `-----BEGIN CERTIFICATE-----\n${golden.ca.replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
const form = (change: Partial<Form>): Form => ({
  name: 'Kitchen',
  server: 'http://192.168.1.20:8000',
  networks: [{ ssid: 'home', password: 'long enough' }],
  ca: '',
  ...change,
});

describe('what is entered for a board', () => {
  it('is let through when a board can use it', () => {
    expect(check(form({}), true)).toEqual({});
    expect(check(form({ server: 'https://farm.example', ca: pem }), true)).toEqual({});
    expect(check(form({ ca: 'left over from before' }), true)).toEqual({});
    expect(check(form({ networks: [{ ssid: 'open', password: '' }] }), true)).toEqual({});
    expect(check(form({ networks: [{ ssid: 'psk', password: 'aB'.repeat(32) }] }), true)).toEqual({});
    expect(check(form({ name: '' }), false)).toEqual({});
  });

  it('is refused at the field that is wrong', () => {
    expect(Object.keys(check(form({ name: ' ', server: 'farm' }), true))).toEqual(['name', 'server']);
    const networks = [
      { ssid: '', password: '1234567' },
      { ssid: 'ü'.repeat(17), password: 'x'.repeat(64) },
    ];
    expect(Object.keys(check(form({ networks }), true))).toEqual(['ssid0', 'password0', 'ssid1', 'password1']);
    const https = (ca: string): string => check(form({ server: 'https://farm.example', ca }), true).ca ?? '';
    expect(https('')).toMatch(/believes nobody but the certificate/);
    expect(https('no certificate')).toMatch(/Choose one certificate/);
    expect(https(pem + pem)).toMatch(/Choose one certificate/);
    const rsa = Buffer.from(golden.ca, 'base64');
    rsa.fill(0, rsa.indexOf(Buffer.from('2a8648ce3d030107', 'hex')));
    expect(https(rsa.toString('base64'))).toMatch(/P-256 only/);
  });

  it('has a server without path, and a certificate without wrapping', () => {
    expect(origin(' http://192.168.1.20:8000/ ')).toBe('http://192.168.1.20:8000');
    expect(origin('https://farm.example/devices')).toBeUndefined();
    expect(origin('https://me:secret@farm.example')).toBeUndefined();
    expect(origin('ftp://farm.example')).toBeUndefined();
    expect(certificate(pem)).toBe(golden.ca);
    expect(certificate(golden.ca)).toBe(golden.ca);
    expect(certificate(golden.ca.slice(0, -8))).toBeUndefined();
  });
});

it('makes portal passwords that Wi-Fi takes and nobody guesses', () => {
  const many = Array.from({ length: 100 }, portalPassword);
  expect(new Set(many).size).toBe(100);
  for (const one of many) expect(one).toMatch(/^[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){2}$/);
});

it('reads the public keys of the server', () => {
  const key = Buffer.from(golden.keys[0]!, 'hex').toString('base64');
  expect(keyDigits(`espalier public key 1\nkey:${key}\n`)).toBe(golden.keys[0]);
  expect(keyDigits('something else')).toBeUndefined();
});

it('says before anything is written that settings are too long', () => {
  expect(tooLong(golden)).toBe('');
  expect(tooLong({ ...golden, keys: Array<string>(20).fill(golden.keys[0]!) })).toMatch(/and a board keeps 2048/);
});

it('gives a board a name that it can keep', () => {
  expect(boardName('Kitchen ☀')).toBe('Kitchen ☀');
  expect(boardName('☀'.repeat(30))).toBe('☀'.repeat(21));
});
