// The time as this page judges boards by it. While the connection is lost it stands still: a board is not late because
// we hear nothing.

import { live } from '$/live/socket.svelte';
import { nowMs } from '$/util/clock.svelte';

let last = Date.now();

/** The time, ms since 1970, or the time at which the connection was lost. */
export function steadyNow(): number {
  const now = nowMs();
  if (live.state !== 'lost') last = now;
  return last;
}
