// The inbox and what the socket told, as one list of sentences, the newest first. Pure.

import type { Notice } from '$/api/client';
import { placeOf } from '$/areas/notifications/show';
import type { StateKind } from '$/ui/states';
import type { Happening } from './recent.svelte';

export interface Line {
  id: string;
  kind: StateKind;
  /** The word of the state, for who does not see it. */
  word: string;
  title: string;
  text: string;
  href: string;
  at: number;
}

/** A notification of a change and the change itself are the same when they are this close, ms. */
const SAME_MS = 10_000;

const OF_TYPE: Record<string, [StateKind, string]> = {
  success: ['done', 'Good'],
  warning: ['stale', 'Warning'],
  error: ['failed', 'Error'],
  info: ['idle', 'Notice'],
};

/** The shape and word of a notification. */
export function severity(notice: Pick<Notice, 'type' | 'details'>): { kind: StateKind; word: string } {
  if (notice.details?.status === 'online') return { kind: 'online', word: 'Online' };
  if (notice.details?.status === 'offline') return { kind: 'offline', word: 'Offline' };
  const [kind, word] = OF_TYPE[notice.type] ?? OF_TYPE.info!;
  return { kind, word };
}

const WORDS: Partial<Record<StateKind, string>> = {
  online: 'Online',
  offline: 'Offline',
  failed: 'Failed',
  done: 'Done',
};

/** At most `most` lines. A change that is also in the inbox is told once. */
export function lines(
  notices: readonly Notice[],
  happenings: readonly Happening[],
  nameOf: (device: string) => string | undefined,
  most: number,
): Line[] {
  const told = notices.map((notice): Line => {
    const { kind, word } = severity(notice);
    const at = Date.parse(notice.created_at);
    const href = placeOf(notice);
    const name = notice.device_id ? nameOf(notice.device_id) : undefined;
    // The title of these says again what the sentence says; the device's name is what is looked for.
    if (name && notice.details?.status === kind) {
      return {
        id: notice.id,
        kind,
        word,
        title: name,
        text: kind === 'online' ? 'came online.' : 'went offline.',
        href,
        at,
      };
    }
    return { id: notice.id, kind, word, title: notice.title, text: notice.message, href, at };
  });
  const twice = (happening: Happening): boolean =>
    notices.some(
      (notice) =>
        notice.device_id === happening.device &&
        notice.details?.status === happening.kind &&
        Math.abs(Date.parse(notice.created_at) - happening.at) < SAME_MS,
    );
  for (const happening of happenings) {
    const name = nameOf(happening.device);
    if (!name || twice(happening)) continue;
    const { id, kind, text, at } = happening;
    const tab = happening.command ? '/control' : '';
    const href = `/ui/devices/${happening.device}${tab}`;
    told.push({ id, kind, word: WORDS[kind] ?? '', title: name, text, href, at });
  }
  return told.sort((a, b) => b.at - a.at).slice(0, most);
}
