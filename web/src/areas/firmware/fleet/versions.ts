// Boards by version, whatever their chips.

import type { Schemas } from '$/api/client';

export interface Version {
  version: string;
  boards: number;
  /** Of all boards that said what they run. */
  share: number;
}

/** Adds up the images of each version; the most frequent comes first. */
export function byVersion(
  images: readonly Pick<Schemas['ImageStats'], 'version' | 'boards'>[],
  all: number,
): Version[] {
  const counts = new Map<string, number>();
  for (const { version, boards } of images) {
    const name = version ?? 'unknown version';
    counts.set(name, (counts.get(name) ?? 0) + boards);
  }
  return [...counts]
    .filter(([, boards]) => boards > 0)
    .map(([version, boards]) => ({ version, boards, share: boards / Math.max(1, all) }))
    .sort((a, b) => b.boards - a.boards || a.version.localeCompare(b.version));
}
