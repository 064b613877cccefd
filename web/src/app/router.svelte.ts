// Where the person is: the path after the origin, matched against the table of routes.

import { tick } from 'svelte';

export interface Match<T> {
  route: T;
  params: Record<string, string>;
}

class Location {
  path = $state(window.location.pathname);
  query = $state.raw(new URLSearchParams(window.location.search));

  read(): void {
    this.path = window.location.pathname;
    this.query = new URLSearchParams(window.location.search);
  }
}

export const location = new Location();

// Scroll positions of visited entries, by the number kept in the entry's state.
const scrolls = new Map<number, number>();
let entry = 0;

// Asked before the page is left; it answers whether that may happen now, and calls `proceed` later if not.
let mayLeave: ((proceed: () => void) => boolean) | undefined;

/** Lets a page ask before it is left for another path. Returns how to stop asking. */
export function guardLeaving(ask: (proceed: () => void) => boolean): () => void {
  mayLeave = ask;
  return () => {
    if (mayLeave === ask) mayLeave = undefined;
  };
}

let wanted = false;
let went = false;

/**
 * Whoever listens instead of looking begins at the new page's heading. Pages call this when theirs is there: the code of
 * a page may come late, and its heading may be replaced when its data comes.
 */
export function arrived(heading: HTMLElement): void {
  const nowhere = went && (!document.activeElement || document.activeElement === document.body);
  if (wanted || nowhere) heading.focus({ preventScroll: true });
  went ||= wanted;
  wanted = false;
}

/** Goes to a path of this app. */
export async function go(to: string, options: { replace?: boolean; keepScroll?: boolean } = {}): Promise<void> {
  const elsewhere = new URL(to, window.location.href).pathname !== location.path;
  if (elsewhere && mayLeave && !mayLeave(() => void go(to, options))) return;
  if (options.replace) {
    history.replaceState({ entry }, '', to);
  } else {
    scrolls.set(entry, window.scrollY);
    history.pushState({ entry: ++entry }, '', to);
  }
  location.read();
  await tick();
  if (!options.keepScroll) {
    window.scrollTo(0, 0);
    const heading = document.querySelector<HTMLElement>('main h1');
    wanted = true;
    if (heading) arrived(heading);
  }
}

/** Changes the query of this page without a new history entry; `null` removes a key. */
export function setQuery(change: Record<string, string | null>): void {
  const query = new URLSearchParams(location.query);
  for (const [key, value] of Object.entries(change)) {
    if (value === null || value === '') query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  void go(location.path + (text ? `?${text}` : ''), { replace: true, keepScroll: true });
}

/** Finds the first pattern (`/ui/devices/:id`) that fits a path. */
export function match<T extends { path: string }>(routes: readonly T[], path: string): Match<T> | undefined {
  const parts = path.split('/').filter(Boolean);
  for (const route of routes) {
    const wanted = route.path.split('/').filter(Boolean);
    if (wanted.length !== parts.length) continue;
    const params: Record<string, string> = {};
    const fits = wanted.every((want, i) => {
      const part = parts[i] ?? '';
      if (!want.startsWith(':')) return want === part;
      try {
        params[want.slice(1)] = decodeURIComponent(part);
        return true;
      } catch {
        return false;
      }
    });
    if (fits) return { route, params };
  }
  return undefined;
}

/** Makes links of this app change the page without loading it anew. */
export function startRouter(): void {
  history.replaceState({ entry }, '');
  window.addEventListener('popstate', async (event) => {
    const target = (event.state as { entry?: number } | null)?.entry ?? 0;
    if (window.location.pathname !== location.path && mayLeave) {
      const steps = target - entry;
      if (!mayLeave(() => history.go(steps))) return history.go(-steps);
    }
    scrolls.set(entry, window.scrollY);
    entry = target;
    location.read();
    await tick();
    window.scrollTo(0, scrolls.get(entry) ?? 0);
  });
  document.addEventListener('click', (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = (event.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== window.location.origin) return;
    if (link.pathname !== '/' && !link.pathname.startsWith('/ui/')) return;
    event.preventDefault();
    void go(link.pathname + link.search + link.hash);
  });
}
