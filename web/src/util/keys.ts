// What well-known telemetry keys mean: a unit and decimals to show them with. Only for display.

interface Known {
  label: string;
  unit: string;
  decimals?: number;
}

const KNOWN: Record<string, Known> = {
  temperature: { label: 'Temperature', unit: '°C', decimals: 1 },
  humidity: { label: 'Humidity', unit: '%', decimals: 0 },
  pressure: { label: 'Pressure', unit: 'hPa', decimals: 1 },
  battery: { label: 'Battery', unit: '%', decimals: 0 },
  battery_v: { label: 'Battery', unit: 'V', decimals: 2 },
  voltage: { label: 'Voltage', unit: 'V', decimals: 1 },
  current: { label: 'Current', unit: 'A', decimals: 2 },
  power: { label: 'Power', unit: 'W', decimals: 1 },
  energy: { label: 'Energy', unit: 'Wh', decimals: 1 },
  energy_kwh: { label: 'Energy', unit: 'kWh', decimals: 3 },
  rssi: { label: 'Signal', unit: 'dBm', decimals: 0 },
  light: { label: 'Light', unit: 'lx', decimals: 0 },
  lux: { label: 'Light', unit: 'lx', decimals: 0 },
  co2: { label: 'CO₂', unit: 'ppm', decimals: 0 },
  soil: { label: 'Soil moisture', unit: '%', decimals: 0 },
  soil_moisture: { label: 'Soil moisture', unit: '%', decimals: 0 },
  uptime: { label: 'Uptime', unit: 's', decimals: 0 },
  heap: { label: 'Free memory', unit: 'B', decimals: 0 },
  heap_free: { label: 'Free memory', unit: 'B', decimals: 0 },
  free_heap: { label: 'Free memory', unit: 'B', decimals: 0 },
};

/** The name of a key for people: a well-known one's, else the key with its words apart. */
export function keyLabel(key: string): string {
  const known = KNOWN[key.toLowerCase()];
  if (known) return known.label;
  const words = key.replace(/[_.:/-]+/g, ' ').trim();
  return words ? words[0]!.toUpperCase() + words.slice(1) : key;
}

/** The unit of a well-known key, or nothing. */
export function keyUnit(key: string): string {
  return KNOWN[key.toLowerCase()]?.unit ?? '';
}

/** The decimals of a well-known key, or nothing. */
export function keyDecimals(key: string): number | undefined {
  return KNOWN[key.toLowerCase()]?.decimals;
}
