// The arc of a gauge: its scale, where a value stands on it, and the numbers along it.

const START = 135;
const SWEEP = 270;

export interface Scale {
  min: number;
  max: number;
}

/** A number of the form 1, 2 or 5 times a power of ten, not smaller than the given one. */
export function nice(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const lead = rough / power;
  // A hair of tolerance: 0.1 / 0.05 is not exactly 2.
  const step = lead <= 1.0000001 ? 1 : lead <= 2.0000001 ? 2 : lead <= 5.0000001 ? 5 : 10;
  return step * power;
}

/** The scale of a gauge: what is set, else round numbers around the value. Never empty. */
export function scaleOf(min: number | undefined, max: number | undefined, value: number | undefined): Scale {
  if (min !== undefined && max !== undefined && min < max) return { min, max };
  const size = Math.abs(value ?? 0);
  const reach = nice(Math.max(size * 1.25, size === 0 ? 100 : 0.001));
  let [low, high] = [min ?? ((value ?? 0) < 0 ? -reach : 0), max ?? reach];
  if ((value ?? 0) < 0 && max === undefined && min === undefined) high = 0;
  if (low >= high) [low, high] = min !== undefined ? [low, low + reach] : [high - reach, high];
  return { min: low, max: high };
}

/** Where a value stands, 0 to 1; what is beyond the scale stands at its end. */
export function portion(value: number, { min, max }: Scale): number {
  return Math.min(1, Math.max(0, (value - min) / (max - min)));
}

/** The point of the arc at a portion, for a circle around 0, 0. */
export function point(at: number, radius: number): { x: number; y: number } {
  const angle = ((START + SWEEP * at) * Math.PI) / 180;
  return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
}

/** The path of the arc between two portions. */
export function arc(from: number, to: number, radius: number): string {
  const a = point(from, radius);
  const b = point(to, radius);
  const large = (to - from) * SWEEP > 180 ? 1 : 0;
  const n = (value: number): string => value.toFixed(2);
  return `M${n(a.x)} ${n(a.y)}A${radius} ${radius} 0 ${large} 1 ${n(b.x)} ${n(b.y)}`;
}

/** Round numbers along the scale, four to nine of them, with where they stand. */
export function ticks(scale: Scale): { value: number; at: number }[] {
  const step = nice((scale.max - scale.min) / 6);
  const out: { value: number; at: number }[] = [];
  for (let i = Math.ceil(scale.min / step - 1e-9); i * step <= scale.max + step * 1e-9; i++) {
    const value = Number((i * step).toPrecision(12));
    out.push({ value, at: portion(value, scale) });
  }
  return out;
}
