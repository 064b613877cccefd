// The form of a widget: which settings each type has, what the fields hold, and what is wrong with them.

import type { Json } from '$/api/client';
import { DEFAULT_PERIOD } from './config';
import { same } from './control';
import type { Kind } from './layout';

export type Setting =
  | 'unit'
  | 'decimals'
  | 'min'
  | 'max'
  | 'step'
  | 'on_value'
  | 'off_value'
  | 'value'
  | 'max_length'
  | 'url'
  | 'period'
  | 'format';

export interface Form extends Record<Setting, string> {
  label: string;
  device: string;
  key: string;
}
export type Errors = Partial<Record<keyof Form, string>>;

interface KindFacts {
  name: string;
  text: string;
  /** `no`: it has none; `may`: it works without. */
  key: 'must' | 'may' | 'no';
  settings: Setting[];
}

export const KINDS: Record<Kind, KindFacts> = {
  telemetry: {
    name: 'Value',
    text: 'The newest value of a key, large.',
    key: 'must',
    settings: ['unit', 'decimals', 'format'],
  },
  gauge: { name: 'Gauge', text: 'A number on a scale.', key: 'must', settings: ['min', 'max', 'unit', 'decimals'] },
  chart: {
    name: 'Chart',
    text: 'A number over time.',
    key: 'must',
    settings: ['period', 'unit', 'decimals', 'min', 'max'],
  },
  switch: { name: 'Switch', text: 'Turns something on and off.', key: 'must', settings: ['on_value', 'off_value'] },
  led: { name: 'Pin switch', text: 'Switches a virtual pin, v0 to v999.', key: 'may', settings: [] },
  slider: {
    name: 'Slider',
    text: 'Sets a number by dragging.',
    key: 'must',
    settings: ['min', 'max', 'step', 'unit', 'decimals'],
  },
  number: {
    name: 'Number',
    text: 'Sets a number by typing.',
    key: 'must',
    settings: ['min', 'max', 'step', 'unit', 'decimals'],
  },
  text: { name: 'Text', text: 'Sends a text to the board.', key: 'must', settings: ['max_length'] },
  button: { name: 'Button', text: 'Sends one value at every press.', key: 'must', settings: ['value'] },
  location: { name: 'Location', text: 'Where the device is.', key: 'may', settings: [] },
  image: { name: 'Picture', text: 'A plan, a photo, a logo.', key: 'no', settings: ['url'] },
};

/** The types in the order in which they are offered. */
export const OFFERED: Kind[] = [
  'telemetry',
  'gauge',
  'chart',
  'switch',
  'slider',
  'number',
  'text',
  'button',
  'led',
  'location',
  'image',
];

/** What a field calls a setting. */
export const SETTING_LABELS: Record<Setting, string> = {
  unit: 'Unit',
  decimals: 'Decimals',
  min: 'Lowest value',
  max: 'Highest value',
  step: 'Step',
  on_value: 'Value for on',
  off_value: 'Value for off',
  value: 'Value to send',
  max_length: 'Longest text, characters',
  url: 'Address of the picture',
  period: 'Shows the last',
  format: 'Shown as',
};

const NUMBERS: Setting[] = ['min', 'max', 'step', 'decimals', 'max_length'];
const VALUES: Setting[] = ['on_value', 'off_value', 'value'];
const MAX_LABEL = 100;
const MAX_UNIT_BYTES = 32;
const MAX_DECIMALS = 10;
const MAX_TEXT = 1024;

/** A value as a field shows it: texts that look like something else in quotes. */
export function fieldText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') return JSON.stringify(value);
  return valueOf(value) === value ? value : JSON.stringify(value);
}

/** The value that a field's text means: a number, true, false, or a text. */
export function valueOf(text: string): Json {
  const trimmed = text.trim();
  if (trimmed === 'true') return true;
  if (trimmed === 'false') return false;
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed);
  if (/^".*"$/.test(trimmed)) {
    try {
      return JSON.parse(trimmed) as Json;
    } catch {
      return trimmed;
    }
  }
  return text;
}

/** What the form shows for a config. */
export function formOf(label: string, device: string, config: Record<string, unknown>): Form {
  const field = (name: Setting): string =>
    VALUES.includes(name) ? fieldText(config[name]) : String(config[name] ?? '');
  const settings = Object.fromEntries(
    (Object.keys(SETTING_LABELS) as Setting[]).map((name) => [name, field(name)]),
  ) as Record<Setting, string>;
  settings.period ||= DEFAULT_PERIOD;
  return { ...settings, label, device, key: String(config.virtual_pin ?? config.key ?? '') };
}

/** A number as people type it, with a comma too. */
export function parseNumber(text: string): number | undefined {
  const value = Number(text.trim().replace(',', '.'));
  return text.trim() !== '' && Number.isFinite(value) ? value : undefined;
}

/** Checks a form. `config` holds what the server is told; null removes a setting. */
export function check(kind: Kind, form: Form): { errors: Errors; config: Record<string, Json> } {
  const errors: Errors = {};
  const config: Record<string, Json> = {};
  const facts = KINDS[kind];
  if ([...form.label.trim()].length > MAX_LABEL) errors.label = `Use at most ${MAX_LABEL} characters.`;
  checkBinding(kind, form, errors, config);
  for (const name of facts.settings) {
    const text = form[name];
    if (text.trim() === '') {
      config[name] = null;
    } else if (NUMBERS.includes(name)) {
      const value = parseNumber(text);
      if (value === undefined) errors[name] = 'This must be a number.';
      else config[name] = value;
    } else {
      config[name] = VALUES.includes(name) ? valueOf(text) : text.trim();
    }
  }
  checkNumbers(kind, config, errors);
  if (typeof config.unit === 'string' && new TextEncoder().encode(config.unit).length > MAX_UNIT_BYTES) {
    errors.unit = 'This is too long for a unit.';
  }
  if (kind === 'switch' && !errors.off_value && same(config.on_value ?? 1, config.off_value ?? 0)) {
    errors.off_value = 'This must differ from the value for on.';
  }
  if (kind === 'image') checkPicture(form, errors);
  return { errors, config };
}

function checkBinding(kind: Kind, form: Form, errors: Errors, config: Record<string, Json>): void {
  const { key: need } = KINDS[kind];
  if (need === 'no') return;
  const key = form.key.trim();
  if (form.device === '') errors.device = 'Choose a device.';
  if (key === '') {
    if (need === 'must') errors.key = 'Choose a key or type its name.';
    return;
  }
  if (kind === 'led') {
    if (/^v\d{1,3}$/i.test(key)) config.virtual_pin = key.toLowerCase();
    else errors.key = 'A pin is v0 to v999. Use a switch for other keys.';
    return;
  }
  if (/\s/.test(key)) errors.key = 'A key has no spaces.';
  config.key = key;
  // A pin that another app chose would win over the key.
  config.virtual_pin = null;
}

function checkNumbers(kind: Kind, config: Record<string, Json>, errors: Errors): void {
  const { decimals, step, max_length: length } = config;
  const whole = (value: Json | undefined, most: number): boolean =>
    typeof value !== 'number' || (Number.isInteger(value) && value >= 0 && value <= most);
  if (!whole(decimals, MAX_DECIMALS)) errors.decimals = `This must be a whole number from 0 to ${MAX_DECIMALS}.`;
  if (!whole(length, MAX_TEXT)) errors.max_length = `This must be a whole number from 0 to ${MAX_TEXT}.`;
  if (typeof step === 'number' && step <= 0) errors.step = 'This must be greater than 0.';
  const slider = kind === 'slider';
  const low = typeof config.min === 'number' ? config.min : slider ? 0 : undefined;
  const high = typeof config.max === 'number' ? config.max : slider ? 100 : undefined;
  if (low !== undefined && high !== undefined && low >= high && !errors.min && !errors.max) {
    errors.max = 'This must be greater than the lowest value.';
  }
}

function checkPicture(form: Form, errors: Errors): void {
  const url = form.url.trim();
  if (url === '') errors.url = 'Choose a picture or give its address.';
  else if (!/^https:\/\/[^/\s][^\s]*$/.test(url) && !/^data:image\/(png|jpeg|gif|webp);/.test(url)) {
    errors.url = 'This must be an address that begins with https://.';
  }
}
