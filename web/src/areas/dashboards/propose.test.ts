import { describe, expect, it } from 'vitest';
import { propose, switchValues, usualRange } from './propose';

const kinds = (list: ReturnType<typeof propose>): string[] =>
  list.map((one) => `${one.type}:${String(one.config.key)}`);

describe('propose', () => {
  it('gives a lamp its switch and slider', () => {
    const values = { brightness: 70, power: 0.2, v0: 0, heap_free: 118011, rssi: -72, uptime: 390, temperature: 23.1 };
    const states = { v0: { reported: 0 }, brightness: { reported: 70 }, color: { reported: '#ffb36b' } };
    expect(kinds(propose(values, states))).toEqual([
      'chart:temperature',
      'switch:v0',
      'slider:brightness',
      'text:color',
      'telemetry:power',
    ]);
  });

  it('lets a dimmed pin slide over the levels of a byte', () => {
    const [slider] = propose({ brightness: 178 }, { brightness: { reported: 178 } });
    expect(slider).toMatchObject({ type: 'slider', config: { key: 'brightness', min: 0, max: 255 } });
    expect(kinds(propose({ brightness: 900 }, { brightness: { reported: 900 } }))).toEqual(['number:brightness']);
  });

  it('gives a sensor a chart and gauges, and leaves out what is about the board', () => {
    const values = { temperature: 20.5, co2: 471, humidity: 41.4, pm25: 9.5, heap_free: 1, rssi: -78, uptime: 5 };
    const list = kinds(propose(values, {}));
    expect(list).toEqual(['chart:temperature', 'gauge:co2', 'gauge:humidity', 'telemetry:pm25']);
  });

  it('does not offer to switch what is sensed', () => {
    expect(kinds(propose({ motion: 1, door: false, fan: true, relay1: 0 }, {}))).toEqual([
      'switch:fan',
      'switch:relay1',
      'telemetry:motion',
      'telemetry:door',
    ]);
  });

  it('finds places and texts, and nothing for nothing', () => {
    expect(kinds(propose({ gps: { lat: 1, lon: 2 }, lock: 'locked', list: [1] }, {}))).toEqual([
      'location:gps',
      'telemetry:lock',
    ]);
    expect(propose({}, {})).toEqual([]);
  });
});

it('speaks to a board in its own words', () => {
  expect(switchValues(true)).toEqual({ on_value: true, off_value: false });
  expect(switchValues(1)).toEqual({});
});

it('offers a range only when the value lies in it', () => {
  expect(usualRange('temperature', 21)).toEqual({ min: -10, max: 40 });
  expect(usualRange('temperature', 80)).toBeUndefined();
});
