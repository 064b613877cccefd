import { expect, test } from 'vitest';
import { agentName, isPhone } from './agent';

test('browsers have names', () => {
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36';
  const edge =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0';
  const safari =
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1';
  const firefox = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0';
  expect([chrome, edge, safari, firefox].map(agentName)).toEqual([
    'Chrome on Linux',
    'Edge on Windows',
    'Safari on iOS',
    'Firefox on macOS',
  ]);
  expect([chrome, safari].map(isPhone)).toEqual([false, true]);
});

test('programs are called what they call themselves', () => {
  expect(agentName('curl/8.5.0')).toBe('curl');
  expect(agentName('my-script')).toBe('my-script');
  expect(agentName('x'.repeat(200))).toHaveLength(60);
  expect(agentName(null)).toBe('An unnamed program');
});
