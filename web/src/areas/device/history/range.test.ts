import { describe, expect, it } from 'vitest';
import { autoInterval, clamp, clockText, intervalMs, momentOf, SHORTEST } from './range';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-03-01T12:00:00Z');

describe('intervals', () => {
  it('make no more buckets than a screen shows', () => {
    for (const span of [60_000, HOUR, 24 * HOUR, 7 * 24 * HOUR, 365 * 24 * HOUR]) {
      expect(span / intervalMs(autoInterval(span))).toBeLessThanOrEqual(400);
    }
    expect(autoInterval(HOUR)).toBe('10s');
    expect(autoInterval(24 * HOUR)).toBe('5m');
  });
});

describe('spans', () => {
  it('stay within what can be asked for', () => {
    expect(clamp({ from: NOW - 10, to: NOW }, NOW)).toMatchObject({ to: expect.any(Number) });
    const tiny = clamp({ from: NOW - 10, to: NOW }, NOW);
    expect(tiny.to - tiny.from).toBe(SHORTEST);
    const future = clamp({ from: NOW + 5 * HOUR, to: NOW + 6 * HOUR }, NOW);
    expect(future.from).toBeLessThan(NOW);
    const ancient = clamp({ from: 0, to: NOW }, NOW);
    expect(ancient.from).toBeGreaterThanOrEqual(Date.UTC(2000, 0));
  });

  it('keep their place otherwise', () => {
    const span = { from: NOW - 2 * HOUR, to: NOW - HOUR };
    expect(clamp(span, NOW)).toEqual(span);
  });
});

describe('clocks of zones', () => {
  it('go there and back', () => {
    for (const tz of ['UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/Sao_Paulo']) {
      expect(momentOf(clockText(NOW, tz), tz)).toBe(NOW);
    }
    expect(clockText(NOW, 'Europe/Berlin')).toBe('2026-03-01T13:00:00');
    expect(momentOf('2026-07-01T14:00', 'Europe/Berlin')).toBe(Date.parse('2026-07-01T12:00:00Z'));
  });

  it('survive the hour that comes twice and the one that does not come', () => {
    expect(Number.isFinite(momentOf('2026-10-25T02:30', 'Europe/Berlin'))).toBe(true);
    expect(Number.isFinite(momentOf('2026-03-29T02:30', 'Europe/Berlin'))).toBe(true);
    expect(momentOf('nonsense', 'UTC')).toBeUndefined();
  });
});
