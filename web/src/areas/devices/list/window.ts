// Which rows of a long list are drawn: those on the screen, and a few more on both sides.

export interface Part {
  first: number;
  /** Exclusive. */
  end: number;
}

/** Lists up to this length are drawn whole: the browser's own search and screen readers then have all of it. */
export const WHOLE = 120;
const MORE = 10;

/** `top`: where the list begins relative to the top of the screen, pixels; negative when it is scrolled past. */
export function visiblePart(count: number, rowHeight: number, top: number, screen: number): Part {
  if (count <= WHOLE) return { first: 0, end: count };
  const at = Math.floor(-top / rowHeight) - MORE;
  const rows = Math.ceil(screen / rowHeight) + 2 * MORE;
  const first = Math.max(0, Math.min(at, count - rows));
  return { first, end: Math.min(count, first + rows) };
}
