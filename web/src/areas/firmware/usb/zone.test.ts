import { expect, it } from 'vitest';
import { posixZone } from './zone';

it.each([
  ['Europe/Berlin', 'STD-1DST,M3.5.0,M10.5.0/3'],
  ['America/New_York', 'STD5DST,M3.2.0,M11.1.0'],
  ['Australia/Sydney', 'STD-10DST,M10.1.0,M4.1.0/3'],
  ['Asia/Kolkata', 'STD-5:30'],
  ['America/St_Johns', 'STD3:30DST,M3.2.0,M11.1.0'],
  ['UTC', 'STD0'],
])('knows the rule of %s', (zone, rule) => {
  expect(posixZone(zone, 2026)).toBe(rule);
});
