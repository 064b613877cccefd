// Loads the values of devices whose rows are seen, a few at a time. Rows that only fly past cost nothing.

import type { Attachment } from 'svelte/attachments';
import type { LiveDevice } from '$/live/fleet.svelte';

/** How long a row must be seen, ms. */
const STAY_MS = 120;
const AT_ONCE = 4;
const AGAIN_MS = 10_000;

const waiting = new Set<LiveDevice>();
const refused = new WeakMap<LiveDevice, number>();
let running = 0;

function next(): void {
  while (running < AT_ONCE) {
    const device = waiting.values().next().value;
    if (!device) return;
    waiting.delete(device);
    running++;
    device
      .load()
      .catch(() => refused.set(device, Date.now()))
      .finally(() => {
        running--;
        next();
      });
  }
}

function want(device: LiveDevice): void {
  if (device.loaded || Date.now() - (refused.get(device) ?? 0) < AGAIN_MS) return;
  waiting.add(device);
  next();
}

/** Loads a device's values when the element is seen. */
export function loadWhenSeen(device: LiveDevice): Attachment<Element> {
  return (element) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new IntersectionObserver(([entry]) => {
      clearTimeout(timer);
      if (entry?.isIntersecting) timer = setTimeout(() => want(device), STAY_MS);
      else waiting.delete(device);
    });
    observer.observe(element);
    return () => {
      clearTimeout(timer);
      waiting.delete(device);
      observer.disconnect();
    };
  };
}
