import { expect, test } from 'vitest';
import { tell, telling } from './telling';

const at = 1;
const of = (data: Record<string, string | number | boolean | null>) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, { value, at }]));

test('what a board watches comes before what it says of itself', () => {
  const values = of({ uptime: 240, rssi: -60, heap_free: 118000, humidity: 41.8, temperature: 20.84 });
  expect(telling(values).map((t) => t.key)).toEqual(['temperature', 'humidity']);
  expect(telling(values)[0]).toMatchObject({ label: 'Temperature', text: '20.8', unit: '°C' });
});

test('a number at the end of a name is a name of its own only where it is one', () => {
  const values = of({ temperature: 20, humidity: 40, co2: 475 });
  expect(telling(values).map((t) => t.key)).toEqual(['co2', 'temperature']);
  expect(telling(of({ supply: 12, relay2: 1, relay1: 0 })).map((t) => t.key)).toEqual(['relay1', 'relay2']);
});

test('a board that only speaks of itself is shown with that', () => {
  expect(telling(of({ rssi: -60 })).map((t) => t.key)).toEqual(['rssi']);
  expect(telling({})).toEqual([]);
  expect(telling(of({ gone: null }))).toEqual([]);
});

test('numbers that mean yes or no are words', () => {
  expect(tell('door', 1).text).toBe('Open');
  expect(tell('motion', 0).text).toBe('Quiet');
  expect(tell('relay3', 1).text).toBe('On');
  expect(tell('relay3', 2).text).toBe('2');
  expect(tell('level', 0)).toEqual({ text: '0', unit: '' });
});
