// uPlot, loaded when the first chart is shown, and dressed in the tokens of the design.

import type uPlot from 'uplot';

export interface Series {
  label: string;
  unit?: string;
  /** Index into the palette; the dash tells series apart without colour. */
  index: number;
  /** A step line for switches. */
  step?: boolean;
  decimals?: number;
}

export type Columns = uPlot.AlignedData;

const DASHES: (number[] | undefined)[] = [undefined, [7, 4], [2, 3], [10, 4, 2, 4]];

let loading: Promise<typeof uPlot> | undefined;

/** Loads uPlot once. */
export function loadPlot(): Promise<typeof uPlot> {
  loading ??= Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]).then(([module]) => module.default);
  return loading;
}

/** A token's colour as it is now. */
export function token(element: Element, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** The dash of a series, so that it is told apart without its colour. */
export function dashOf(index: number): number[] | undefined {
  return DASHES[Math.floor(index / 8) % DASHES.length] ?? DASHES[index % DASHES.length];
}

/** The token of a series' colour. */
export function colorToken(index: number): string {
  return `--series-${(index % 8) + 1}`;
}
