// The person's time zone as small devices know zones: a POSIX rule instead of a name. It holds the rule of this year.

const HOUR = 3_600_000;

/** Minutes that a zone is ahead of UTC at a time. */
function offset(zone: string, at: number): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  }).formatToParts(at);
  const part = (type: string): number => Number(parts.find((one) => one.type === type)?.value);
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
  return Math.round((local - Math.floor(at / 60_000) * 60_000) / 60_000);
}

/** "2" or "5:30", as POSIX writes it: west is positive. */
function west(minutes: number): string {
  const size = Math.abs(minutes);
  const text = size % 60 ? `${Math.floor(size / 60)}:${String(size % 60).padStart(2, '0')}` : String(size / 60);
  return minutes > 0 ? `-${text}` : text;
}

/** A change as POSIX tells it: month, week (5 is the last), weekday, hour by the clock before it. */
function rule(at: number, before: number): string {
  const local = new Date(at + before * 60_000);
  const day = local.getUTCDate();
  const days = new Date(Date.UTC(local.getUTCFullYear(), local.getUTCMonth() + 1, 0)).getUTCDate();
  const week = day + 7 > days ? 5 : Math.ceil(day / 7);
  const time = local.getUTCHours() === 2 ? '' : `/${local.getUTCHours()}`;
  return `M${local.getUTCMonth() + 1}.${week}.${local.getUTCDay()}${time}`;
}

/** The rule of a zone in a year; nothing when its clock changes in a way that two rules cannot tell. */
export function posixZone(zone: string, year: number): string | undefined {
  const changes: { at: number; before: number; after: number }[] = [];
  let before = offset(zone, Date.UTC(year, 0, 1));
  const first = before;
  for (let day = Date.UTC(year, 0, 2); day <= Date.UTC(year + 1, 0, 1); day += 24 * HOUR) {
    const after = offset(zone, day);
    if (after === before) continue;
    let at = day - 24 * HOUR;
    while (offset(zone, at) === before) at += HOUR / 2;
    changes.push({ at, before, after });
    before = after;
  }
  if (changes.length === 0) return `STD${west(first)}`;
  const [one, other] = changes;
  if (changes.length !== 2 || !one || !other || one.before !== other.after) return undefined;
  const [on, off] = one.after > one.before ? [one, other] : [other, one];
  const standard = on.before;
  const summer = on.after === standard + 60 ? 'DST' : `DST${west(on.after)}`;
  return `STD${west(standard)}${summer},${rule(on.at, on.before)},${rule(off.at, off.before)}`;
}

/** The rule of the zone that this browser is in. */
export function hereZone(): string | undefined {
  return posixZone(Intl.DateTimeFormat().resolvedOptions().timeZone, new Date().getFullYear());
}
