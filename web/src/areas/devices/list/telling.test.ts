import { expect, it } from 'vitest';
import { tellingKeys } from './telling';

const values = (of: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [key, { value: value as never }]));

it('shows the world before the board, and never documents', () => {
  expect(tellingKeys(values({ rssi: -60, uptime: 5, humidity: 40, temperature: 20, config: { a: 1 } }))).toEqual([
    'temperature',
    'humidity',
  ]);
  expect(tellingKeys(values({ rssi: -60, wind: 3 }))).toEqual(['wind', 'rssi']);
  expect(tellingKeys(values({ config: { a: 1 } }))).toEqual([]);
});
