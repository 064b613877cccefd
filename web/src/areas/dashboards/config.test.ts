import { describe, expect, it } from 'vitest';
import { isOn, positionOf, readConfig, withUnit } from './config';

describe('a config', () => {
  it('takes what fits and leaves the rest', () => {
    const config = readConfig('gauge', { key: 'temperature', min: 'x', max: 30, decimals: 1, period: '3y', foo: 1 });
    expect(config).toMatchObject({ key: 'temperature', max: 30, decimals: 1, unit: '°C', period: '24h' });
    expect(config.min).toBeUndefined();
  });
  it('prefers the virtual pin, as the server does', () => {
    expect(readConfig('led', { virtual_pin: 'v1', key: 'x' }).key).toBe('v1');
  });
  it('gives a slider its range', () => {
    expect(readConfig('slider', { key: 'a' })).toMatchObject({ min: 0, max: 100 });
  });
  it('lets an empty unit stand', () => {
    expect(readConfig('telemetry', { key: 'temperature', unit: '' }).unit).toBe('');
  });
});

describe('a switch', () => {
  it('is on by its own values first', () => {
    expect(isOn('open', { on: 'open', off: 'closed' })).toBe(true);
    expect(isOn(0, { on: 0, off: 1 })).toBe(true);
    expect(isOn(true, { on: 1, off: 0 })).toBe(true);
    expect(isOn('OFF', { on: 1, off: 0 })).toBe(false);
    expect(isOn(undefined, { on: 1, off: 0 })).toBeUndefined();
    expect(isOn(17, { on: 1, off: 0 })).toBeUndefined();
  });
});

it('shows on and off as words where that is meant', () => {
  expect(withUnit(1, readConfig('telemetry', { key: 'door', format: 'onoff' }))).toBe('On');
  expect(withUnit(21.54, readConfig('telemetry', { key: 'temperature' }))).toBe('21.5 °C');
});

it('finds positions', () => {
  expect(positionOf({ lat: 52.5, lng: 13.4 })).toEqual({ lat: 52.5, lon: 13.4 });
  expect(positionOf('52.5, 13.4')).toEqual({ lat: 52.5, lon: 13.4 });
  expect(positionOf([52.5, 13.4])).toEqual({ lat: 52.5, lon: 13.4 });
  expect(positionOf('hall, left')).toBeUndefined();
  expect(positionOf({ lat: 120, lon: 0 })).toBeUndefined();
});
