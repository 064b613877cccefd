// Rules of how long values are kept, as a form holds them. Pure.

export interface Row {
  /** Stable while the form is open. */
  id: number;
  key: string;
  days: string;
}

/** A century, as the server allows. */
const MOST_DAYS = 36_500;

/** What is wrong with each row, by its id. */
export function problems(rows: readonly Row[]): Record<number, { key?: string; days?: string }> {
  const found: Record<number, { key?: string; days?: string }> = {};
  for (const row of rows) {
    const key = row.key.trim();
    const wrong: { key?: string; days?: string } = {};
    if (!key) wrong.key = 'Enter a key, or * for all others.';
    else if (rows.some((other) => other.id < row.id && other.key.trim() === key))
      wrong.key = 'This key has a rule already.';
    const days = Number(row.days);
    if (!Number.isInteger(days) || days < 1 || days > MOST_DAYS) wrong.days = 'Enter 1 to 36,500 days.';
    if (wrong.key || wrong.days) found[row.id] = wrong;
  }
  return found;
}

/** The rules as the server takes them. */
export function rulesOf(rows: readonly Row[]): { key: string; keep_days: number }[] {
  return rows.map((row) => ({ key: row.key.trim(), keep_days: Number(row.days) }));
}
