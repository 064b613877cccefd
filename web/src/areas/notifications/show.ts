// Which notifications are shown, and under which day. Pure.

import type { Notice } from '$/api/client';

export type Show = 'all' | 'unread' | 'important';

export const SHOWS: { id: Show; label: string }[] = [
  { id: 'all', label: 'All' },
  { id: 'unread', label: 'Unread' },
  { id: 'important', label: 'Warnings and errors' },
];

export function isShow(text: string | null): text is Show {
  return SHOWS.some((show) => show.id === text);
}

/** Filters; `important` are warnings and errors. */
export function shown(list: readonly Notice[], show: Show, hidden: ReadonlySet<string>): Notice[] {
  return list.filter((notice) => {
    if (hidden.has(notice.id)) return false;
    if (show === 'unread') return !notice.read;
    if (show === 'important') return notice.type === 'warning' || notice.type === 'error';
    return true;
  });
}

const dayName = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

/** The list in days, newest first; today and yesterday by their names. */
export function byDay(list: readonly Notice[], now: number): { day: string; notices: Notice[] }[] {
  const today = new Date(now).toDateString();
  const yesterday = new Date(new Date(now).setDate(new Date(now).getDate() - 1)).toDateString();
  const days: { day: string; notices: Notice[] }[] = [];
  for (const notice of list) {
    const date = new Date(notice.created_at);
    const key = date.toDateString();
    const day = key === today ? 'Today' : key === yesterday ? 'Yesterday' : dayName.format(date);
    const last = days[days.length - 1];
    if (last?.day === day) last.notices.push(notice);
    else days.push({ day, notices: [notice] });
  }
  return days;
}

/** The page of what a notification is about: a rollout, a device, or else the inbox. */
export function placeOf(notice: Pick<Notice, 'details' | 'device_id'>): string {
  const rollout = notice.details?.['rollout_id'];
  if (typeof rollout === 'string') return `/ui/firmware/rollouts/${rollout}`;
  return notice.device_id ? `/ui/devices/${notice.device_id}` : '/ui/notifications';
}
