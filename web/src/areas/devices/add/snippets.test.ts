import { describe, expect, it } from 'vitest';
import { onlyHere, snippets } from './snippets';

const access = {
  origin: 'http://192.168.1.7:8000',
  id: '0123456789abcdef01234567',
  token: 'f'.repeat(32),
  interval: 30,
};

describe('the first programs', () => {
  it('hold the address, the id, the token and the interval', () => {
    for (const { text, id } of snippets(access)) {
      expect(text).toContain(`${access.origin}/devices/${access.id}/telemetry`);
      expect(text).toContain(access.token);
      if (id !== 'curl') expect(text).toMatch(/30000UL|sleep\(30\)|from_secs\(30\)/);
    }
  });

  it('check certificates when the server has one', () => {
    const arduino = (origin: string) => snippets({ ...access, origin }).find((one) => one.id === 'arduino')?.text ?? '';
    expect(arduino('https://home.example')).toContain('setCACert');
    expect(arduino(access.origin)).not.toContain('Secure');
  });

  it('send what curl can parse', () => {
    const body = /-d '(.*)'/.exec(snippets(access)[0]?.text ?? '')?.[1] ?? '';
    expect(JSON.parse(body)).toEqual({ device_token: access.token, data: { temperature: 21.5, v0: 1 } });
  });

  it('know addresses that only this machine understands', () => {
    expect(['http://localhost:8000', 'http://127.0.0.1', 'http://[::1]:8000'].map(onlyHere)).toEqual([
      true,
      true,
      true,
    ]);
    expect(['http://192.168.1.7:8000', 'https://home.example'].map(onlyHere)).toEqual([false, false]);
  });
});
