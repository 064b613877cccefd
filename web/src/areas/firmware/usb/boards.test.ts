import { expect, it } from 'vitest';
import { BOARDS, has, isKnown, pinRows, profileFor, profiles, type Profile } from './boards';

const board = (pins: Profile['pins']): Profile => ({ name: 'mine', chip: 'ESP32-C3', pins });

it('has words for every role that a board of the firmware has', () => {
  expect(BOARDS.length).toBeGreaterThan(0);
  const roles = BOARDS.flatMap(({ pins }) => pins.map(({ role }) => role));
  expect(roles.filter((role) => !isKnown(role))).toEqual([]);
});

it('says what a board has, and which pin is what', () => {
  const relay = (gpio: number, key: string) => ({ gpio, role: 'relay', key });
  const things = board([
    { gpio: 8, role: 'led', inverted: true },
    relay(4, 'v0'),
    relay(5, 'v1'),
    relay(3, 'v2'),
    { gpio: 6, role: 'epd_cs' },
    { gpio: 7, role: 'epd_busy' },
    { gpio: 9, role: 'soil_probe' },
  ]);
  expect(has(things)).toBe('LED, 3 switches (v0 to v2), e-ink display, soil probe');
  expect(has(board([relay(4, 'lamp'), relay(5, 'fan')]))).toBe('2 switches (lamp and fan)');
  expect(has(board([relay(4, 'lamp')]))).toBe('switch (lamp)');
  expect(pinRows(things).map(({ gpio, text }) => `${gpio} ${text}`)).toEqual([
    '3 switch v2',
    '4 switch v0',
    '5 switch v1',
    '6 display, select',
    '7 display, busy',
    '8 LED, on when low',
    '9 soil probe',
  ]);
});

it('gives a board the pins that its firmware is made for', () => {
  const name = (chip: string, variant: string): string | undefined => profileFor({ chip, variant })?.name;
  expect(profiles('ESP32-C3')[0]?.name).toBe('esp32-c3-devkit');
  expect(name('ESP32-C3', 'base')).toBe('esp32-c3-devkit');
  expect(name('ESP32-C3', 'full')).toBe('esp32-c3-full');
  expect(name('ESP32-C6', 'things')).toBe('esp32-c6-things');
  expect(name('ESP32-C6', 'full')).toBe('esp32-c6-devkit');
  expect(name('ESP32-H2', 'base')).toBeUndefined();
  expect(profiles('ESP32-H2')).toEqual([]);
});
