// Where widgets stand: a grid of twelve columns where everything floats up, as the editor's grid does it. Widgets
// without a place get the next free one; numbers in other apps' units count as no place.

import type { Schemas } from '$/api/client';

export type Kind = Schemas['Kind'];

/** The types that set something. */
export const CONTROLS: readonly Kind[] = ['led', 'switch', 'slider', 'number', 'text', 'button'];

export const COLUMNS = 12;
/** The highest widget, rows. */
const MOST_ROWS = 12;
/** Further down than any dashboard of 200 widgets reaches. */
const LOWEST = 2400;

export interface Place {
  x: number;
  y: number;
  w: number;
  h: number;
}
export interface Placed extends Place {
  id: string;
}

interface Unplaced {
  id: string;
  type: Kind;
  order: number;
  x?: number | null | undefined;
  y?: number | null | undefined;
  width?: number | null | undefined;
  height?: number | null | undefined;
}

const SIZES: Record<Kind, [number, number]> = {
  telemetry: [3, 2],
  gauge: [3, 3],
  chart: [6, 3],
  led: [3, 2],
  switch: [3, 2],
  slider: [3, 2],
  number: [3, 2],
  text: [4, 2],
  button: [3, 2],
  location: [3, 2],
  image: [4, 3],
};

/** The size of a new widget, columns and rows. */
export function sizeOf(kind: Kind): { w: number; h: number } {
  const [w, h] = SIZES[kind];
  return { w, h };
}

/** The smallest size at which a widget can be read and touched. */
export function smallest(kind: Kind): { w: number; h: number } {
  return kind === 'chart' || kind === 'gauge' ? { w: 2, h: 2 } : { w: 2, h: 1 };
}

const within = (n: number | null | undefined, most: number, least = 0): n is number =>
  typeof n === 'number' && Number.isInteger(n) && n >= least && n <= most;

const collide = (a: Place, b: Place): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Reading order: rows from the top, each from the left. */
export function reading<T extends Place>(places: readonly T[]): T[] {
  return [...places].sort((a, b) => a.y - b.y || a.x - b.x);
}

/** Lets everything float up as far as it goes. */
export function compact(places: readonly Placed[]): Placed[] {
  const done: Placed[] = [];
  for (const place of reading(places)) {
    let y = place.y;
    while (done.some((other) => collide({ ...place, y }, other))) y++;
    while (y > 0 && !done.some((other) => collide({ ...place, y: y - 1 }, other))) y--;
    done.push({ ...place, y });
  }
  return done;
}

/** The first free place of a size, from the top and the left. */
export function free(places: readonly Place[], w: number, h: number): Place {
  for (let y = 0; ; y++) {
    for (let x = 0; x + w <= COLUMNS; x++) {
      const place = { x, y, w, h };
      if (!places.some((other) => collide(place, other))) return place;
    }
  }
}

/** Finds a place for every widget. The answer is in reading order and nothing overlaps. */
export function arrange(widgets: readonly Unplaced[]): Placed[] {
  const fixed: Placed[] = [];
  const loose: Unplaced[] = [];
  for (const widget of widgets) {
    const { id, x, y, width, height } = widget;
    const fits = within(width, COLUMNS, 1) && within(height, MOST_ROWS, 1);
    if (fits && within(x, COLUMNS - width) && within(y, LOWEST)) fixed.push({ id, x, y, w: width, h: height });
    else loose.push(widget);
  }
  const placed = compact(fixed);
  for (const widget of loose.sort((a, b) => a.order - b.order)) {
    const usual = sizeOf(widget.type);
    const sized = within(widget.width, COLUMNS, 1) && within(widget.height, MOST_ROWS, 1);
    const [w, h] = sized ? [widget.width!, widget.height!] : [usual.w, usual.h];
    placed.push({ id: widget.id, ...free(placed, w, h) });
  }
  return reading(placed);
}

export type Nudge = 'left' | 'right' | 'up' | 'down' | 'wider' | 'narrower' | 'taller' | 'shorter';

/** Moves or resizes one widget by a step; what is in the way goes below it. Nothing changes at an edge. */
export function nudge(places: readonly Placed[], id: string, how: Nudge, least = { w: 1, h: 1 }): Placed[] {
  const moved = places.find((place) => place.id === id);
  if (!moved) return [...places];
  const next: Placed = { ...moved };
  if (how === 'left') next.x--;
  if (how === 'right') next.x++;
  if (how === 'wider') next.w++;
  if (how === 'narrower') next.w--;
  if (how === 'taller') next.h++;
  if (how === 'shorter') next.h--;
  if (how === 'up') next.y = above(places, moved);
  if (how === 'down') next.y = below(places, moved);
  const fits = next.x >= 0 && next.y >= 0 && next.x + next.w <= COLUMNS && next.h <= MOST_ROWS;
  if (!fits || next.w < least.w || next.h < least.h) return [...places];
  // It keeps its place and the others make room for it.
  const done: Placed[] = [next];
  for (const other of reading(places.filter((place) => place.id !== id))) {
    let y = other.y;
    while (done.some((place) => collide({ ...other, y }, place))) y++;
    done.push({ ...other, y });
  }
  return reading(compact(done));
}

/** Where it comes to stand one widget further up. */
function above(places: readonly Placed[], moved: Placed): number {
  const over = places.filter((p) => p.y < moved.y && p.x < moved.x + moved.w && moved.x < p.x + p.w);
  return over.length ? Math.max(...over.map((p) => p.y)) : -1;
}

/** Where it comes to stand one widget further down: below the next one, which then floats up. */
function below(places: readonly Placed[], moved: Placed): number {
  const under = places.filter((p) => p.y >= moved.y + moved.h && p.x < moved.x + moved.w && moved.x < p.x + p.w);
  if (!under.length) return -1;
  const next = under.reduce((a, b) => (b.y < a.y ? b : a));
  return next.y + next.h;
}

/** Exchanges a widget with its neighbour in the order of one column; where they stand on a grid stays. */
export function shift(places: readonly Placed[], id: string, how: 'up' | 'down'): Placed[] {
  const order = [...places];
  const at = order.findIndex((place) => place.id === id);
  const to = at + (how === 'up' ? -1 : 1);
  const [a, b] = [order[at], order[to]];
  if (!a || !b) return order;
  [order[at], order[to]] = [b, a];
  return order;
}

/** What the server is told. The order of the list is the order in which a phone shows them. */
export function layoutItems(places: readonly Placed[]): Schemas['LayoutItem'][] {
  return places.map(({ id, x, y, w, h }, order) => ({ id, x, y, width: w, height: h, order }));
}

/** Whether two layouts have everything at the same place, whatever their order. */
export function samePlaces(a: readonly Placed[], b: readonly Placed[]): boolean {
  return sameLayout(reading(a), reading(b));
}

/** Whether two layouts are the same, with their order. */
export function sameLayout(a: readonly Placed[], b: readonly Placed[]): boolean {
  return JSON.stringify(layoutItems(a)) === JSON.stringify(layoutItems(b));
}
