// What of a device's description is changed: the fields that differ, and what is wrong with them.

import type { Device, Schemas } from '$/api/client';
import { interval, labels, labelsError } from '../../devices/add/labels';

export interface Form {
  name: string;
  kind: string;
  location: string;
  tags: string;
  groups: string;
  aliases: string;
  interval: string;
}

export function formOf(device: Device): Form {
  return {
    name: device.name,
    kind: device.kind ?? '',
    location: device.location ?? '',
    tags: device.tags.join(', '),
    groups: device.groups.join(', '),
    aliases: device.aliases.join(', '),
    interval: device.expected_interval_seconds ? String(device.expected_interval_seconds) : '',
  };
}

const ALIAS = /^[A-Za-z0-9_-]{1,64}$/;
const MOST_ALIASES = 16;

/** What is wrong, by field. */
export function errorsOf(form: Form): Partial<Record<keyof Form, string>> {
  const found: Partial<Record<keyof Form, string>> = {};
  const length = (text: string): number => [...text.trim()].length;
  if (!form.name.trim()) found.name = 'A device needs a name.';
  else if (length(form.name) > 100) found.name = 'At most 100 characters.';
  if (length(form.kind) > 50) found.kind = 'At most 50 characters.';
  if (length(form.location) > 200) found.location = 'At most 200 characters.';
  const tags = labelsError(labels(form.tags), 'tags');
  if (tags) found.tags = tags;
  const groups = labelsError(labels(form.groups), 'groups');
  if (groups) found.groups = groups;
  const aliases = labels(form.aliases);
  if (aliases.length > MOST_ALIASES) found.aliases = `At most ${MOST_ALIASES} aliases.`;
  else if (!aliases.every((alias) => ALIAS.test(alias)))
    found.aliases = 'An alias has 1 to 64 letters, digits, _ or -.';
  const seconds = interval(form.interval);
  if ('error' in seconds) found.interval = seconds.error;
  return found;
}

const same = (a: string[], b: string[]): boolean => a.length === b.length && a.every((value, i) => value === b[i]);

/** The fields that differ from the device; an empty object when none does. */
export function patchOf(form: Form, device: Device): Schemas['DevicePatch'] {
  const patch: Schemas['DevicePatch'] = {};
  const text = (value: string): string | null => value.trim() || null;
  if (form.name.trim() !== device.name) patch.name = form.name.trim();
  if (text(form.kind) !== (device.kind ?? null)) patch.kind = text(form.kind);
  if (text(form.location) !== (device.location ?? null)) patch.location = text(form.location);
  if (!same(labels(form.tags), device.tags)) patch.tags = labels(form.tags);
  if (!same(labels(form.groups), device.groups)) patch.groups = labels(form.groups);
  if (!same(labels(form.aliases).sort(), [...device.aliases].sort())) patch.aliases = labels(form.aliases);
  const seconds = interval(form.interval);
  if ('value' in seconds && seconds.value !== (device.expected_interval_seconds ?? null)) {
    patch.expected_interval_seconds = seconds.value;
  }
  return patch;
}
