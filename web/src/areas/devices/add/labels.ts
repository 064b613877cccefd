// Labels as people type them: with commas between.

/** "a, b" as a list, each once. */
export function labels(text: string): string[] {
  return [
    ...new Set(
      text
        .split(',')
        .map((label) => label.trim())
        .filter(Boolean),
    ),
  ];
}

/** What is wrong with labels, as the server has it; empty when nothing is. */
export function labelsError(list: string[], what: string): string {
  if (list.length > 32) return `At most 32 ${what}.`;
  if (list.some((label) => [...label].length > 50)) return 'Each may have at most 50 characters.';
  return '';
}

export const LONGEST_INTERVAL_S = 30 * 24 * 3600;

/** Reads an interval in seconds: a number, `null` for an empty field, or what is wrong. */
export function interval(text: string | number | null | undefined): { value: number | null } | { error: string } {
  const plain = String(text ?? '').trim();
  if (!plain) return { value: null };
  const value = Number(plain);
  if (!Number.isInteger(value) || value < 1 || value > LONGEST_INTERVAL_S) {
    return { error: `A whole number of seconds, 1 to ${LONGEST_INTERVAL_S.toLocaleString()} (30 days).` };
  }
  return { value };
}
