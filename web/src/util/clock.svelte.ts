// One ticking clock for everything that shows how long ago something was.

import { createSubscriber } from 'svelte/reactivity';

let now = Date.now();
const subscribe = createSubscriber((update) => {
  now = Date.now();
  const timer = setInterval(() => {
    now = Date.now();
    update();
  }, 1000);
  return () => clearInterval(timer);
});

/** The time, ms since 1970, that moves every second for whoever shows it. */
export function nowMs(): number {
  subscribe();
  return now;
}
