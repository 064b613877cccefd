// Which devices of the fleet are shown, and in which order: what the page's query says.

import type { Device } from '$/api/client';
import { deviceState } from '$/ui/states';

export type Status = 'online' | 'late' | 'offline' | 'unclaimed';
export type Sort = 'name' | 'status' | 'seen' | 'kind' | 'location';

export interface Filter {
  words: string[];
  group: string;
  tag: string;
  kind: string;
  status: Status | '';
  sort: Sort;
  descending: boolean;
}

export const STATUSES: readonly Status[] = ['online', 'late', 'offline', 'unclaimed'];
export const SORTS: Record<Sort, string> = {
  name: 'Name',
  status: 'State',
  seen: 'Last seen',
  kind: 'Kind',
  location: 'Location',
};
/** Stands for "in no group" in the query; no group can have this name, for names are trimmed. */
export const NO_GROUP = ' ';

/** The status by which a device is filtered. A device that was never heard of is offline. */
export function statusOf(device: Device, now: number): Status {
  const { kind, text } = deviceState(device, now);
  if (text === 'Unclaimed') return 'unclaimed';
  return kind === 'online' ? 'online' : kind === 'stale' ? 'late' : 'offline';
}

/** Reads the query of the page; what it does not know is left alone. */
export function readFilter(query: URLSearchParams): Filter {
  const status = query.get('status') as Status | null;
  const sort = query.get('sort') as Sort | null;
  return {
    words: (query.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean),
    group: query.get('group') ?? '',
    tag: query.get('tag') ?? '',
    kind: query.get('kind') ?? '',
    status: status && STATUSES.includes(status) ? status : '',
    sort: sort && sort in SORTS ? sort : 'name',
    descending: query.get('dir') === 'desc',
  };
}

/** Whether the filter leaves anything out. */
export function narrows(filter: Filter): boolean {
  return Boolean(filter.words.length || filter.group || filter.tag || filter.kind || filter.status);
}

/** Letters of an id that are surely meant as one: fewer are in many ids by chance. */
const ID_PART = 6;

function contains(device: Device, words: string[]): boolean {
  if (!words.length) return true;
  const parts = [device.name, device.kind, device.location, ...device.tags, ...device.groups, ...device.aliases];
  const text = parts.filter(Boolean).join('\n').toLowerCase();
  return words.every((word) => text.includes(word) || (word.length >= ID_PART && device.id.startsWith(word)));
}

/** Whether a device passes everything but the status. */
export function fits(device: Device, filter: Filter): boolean {
  if (filter.group === NO_GROUP ? device.groups.length : filter.group && !device.groups.includes(filter.group))
    return false;
  if (filter.tag && !device.tags.includes(filter.tag)) return false;
  if (filter.kind && device.kind !== filter.kind) return false;
  return contains(device, filter.words);
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const RANK: Record<Status, number> = { offline: 0, late: 1, online: 2, unclaimed: 3 };

/** Sorts devices; equal ones stand by name, so that the order never changes by itself. */
export function sorted<T extends { info: Device }>(devices: T[], filter: Filter, now: number): T[] {
  const seen = (device: Device): number => (device.last_active ? Date.parse(device.last_active) : 0);
  // What has none stands last, whichever way.
  const text = (a: string | null | undefined, b: string | null | undefined): number | undefined =>
    a && b ? undefined : a ? -1 : b ? 1 : 0;
  const sign = filter.descending ? -1 : 1;
  const order = (a: Device, b: Device): number => {
    switch (filter.sort) {
      case 'status':
        return sign * (RANK[statusOf(a, now)] - RANK[statusOf(b, now)]);
      case 'seen':
        return sign * (seen(b) - seen(a));
      case 'kind':
        return text(a.kind, b.kind) ?? sign * collator.compare(a.kind ?? '', b.kind ?? '');
      case 'location':
        return text(a.location, b.location) ?? sign * collator.compare(a.location ?? '', b.location ?? '');
      default:
        return sign * collator.compare(a.name, b.name);
    }
  };
  return [...devices].sort(
    (a, b) => order(a.info, b.info) || collator.compare(a.info.name, b.info.name) || (a.info.id < b.info.id ? -1 : 1),
  );
}

export interface Choices {
  groups: string[];
  tags: string[];
  kinds: string[];
}

/** Every group, tag and kind there is, in order. */
export function choices(devices: Device[]): Choices {
  const all = (of: (device: Device) => (string | null | undefined)[]): string[] =>
    [...new Set(devices.flatMap(of).filter((value): value is string => Boolean(value)))].sort(collator.compare);
  return {
    groups: all((device) => device.groups),
    tags: all((device) => device.tags),
    kinds: all((device) => [device.kind]),
  };
}
