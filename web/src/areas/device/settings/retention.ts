// Rules of how long values are kept, as they are typed.

import type { Schemas } from '$/api/client';

type Rule = Schemas['KeepRule'];
export interface Line {
  key: string;
  days: string;
}
const MOST_DAYS = 36_500;

/** Reads the lines, or says what is wrong with the first wrong one. */
export function readRules(lines: Line[]): { rules: Rule[] } | { error: string } {
  const rules: Rule[] = [];
  for (const { key, days } of lines) {
    if (!key) return { error: 'Choose a key for each rule.' };
    const keep = Number(days.trim());
    if (!Number.isInteger(keep) || keep < 1 || keep > MOST_DAYS) {
      return { error: `Days are a whole number from 1 to ${MOST_DAYS.toLocaleString()}.` };
    }
    if (rules.some((rule) => rule.key === key))
      return { error: `There are two rules for ${key === '*' ? 'all other keys' : key}.` };
    rules.push({ key, keep_days: keep });
  }
  return { rules };
}

/** Whether any key may be kept for a shorter time than before. A key without a rule falls under `*`. */
export function shortens(before: Rule[], after: Rule[]): boolean {
  const daysOf = (rules: Rule[], key: string): number | undefined =>
    (rules.find((rule) => rule.key === key) ?? rules.find((rule) => rule.key === '*'))?.keep_days;
  const keys = new Set([...before, ...after].map((rule) => rule.key).concat('*'));
  return [...keys].some((key) => {
    const [old, now] = [daysOf(before, key), daysOf(after, key)];
    // Without any rule the installation decides, which may be shorter or longer.
    return old !== now && (old === undefined || now === undefined || now < old);
  });
}
