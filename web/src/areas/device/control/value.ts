// A value as it is typed: of which type it is, and what is wrong with it.

import type { Json } from '$/api/client';

export type Type = 'number' | 'switch' | 'text' | 'json';
export const TYPES: Readonly<Record<Type, string>> = {
  number: 'Number',
  switch: 'On or off',
  text: 'Text',
  json: 'JSON',
};

/** The type to offer for a key whose value is known. */
export function typeOf(value: Json | undefined): Type {
  if (typeof value === 'boolean') return 'switch';
  if (typeof value === 'number' || value === undefined || value === null) return 'number';
  return typeof value === 'string' ? 'text' : 'json';
}

/** A value as text to edit. */
export function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value, null, 2) : String(value);
}

export type Read = { value: Json } | { error: string };

/** Reads what was typed. */
export function read(type: Type, text: string): Read {
  const plain = text.trim();
  switch (type) {
    case 'number': {
      const value = Number(plain.replace(',', '.'));
      return plain && Number.isFinite(value) ? { value } : { error: 'Enter a number.' };
    }
    case 'switch':
      return { value: plain === 'true' };
    case 'text':
      return { value: text };
    case 'json':
      return readJson(plain);
  }
}

function readJson(text: string): Read {
  try {
    const value = JSON.parse(text) as Json;
    return value === null ? { error: 'null is not a value; a key cannot be set to nothing.' } : { value };
  } catch (error) {
    return { error: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Reads the parameters of a command: nothing, or a JSON object. */
export function readParams(text: string): { value: Record<string, Json> } | { error: string } {
  if (!text.trim()) return { value: {} };
  const found = readJson(text.trim());
  if ('error' in found) return found;
  const { value } = found;
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? { value }
    : { error: 'Parameters are a JSON object, as in {"seconds": 5}.' };
}

/** What is wrong with the name of a command; empty when nothing is. */
export function commandError(name: string): string {
  if (!name.trim()) return 'Enter the name of a command, for example restart.';
  return /^[\w.:-]{1,64}$/.test(name.trim()) ? '' : 'A name has 1 to 64 letters, digits, _, -, . or :.';
}

/** How long something may wait, seconds. */
export const WAITS: readonly { seconds: number; label: string }[] = [
  { seconds: 60, label: '1 minute' },
  { seconds: 300, label: '5 minutes' },
  { seconds: 3600, label: '1 hour' },
  { seconds: 86_400, label: '1 day' },
  { seconds: 604_800, label: '1 week' },
];
