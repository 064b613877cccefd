// What a new password must have, as the server checks it. Pure.

export interface Rule {
  id: string;
  label: string;
  met: boolean;
}

const encoder = new TextEncoder();

/** The rules in the order in which they are shown. */
export function rules(text: string): Rule[] {
  const size = encoder.encode(text).length;
  return [
    {
      id: 'length',
      label: size > 72 ? 'At most 72 characters' : 'At least 8 characters',
      met: size >= 8 && size <= 72,
    },
    { id: 'lower', label: 'A lower-case letter', met: /\p{Lowercase}/u.test(text) },
    { id: 'upper', label: 'An upper-case letter', met: /\p{Uppercase}/u.test(text) },
    { id: 'digit', label: 'A digit', met: /[0-9]/.test(text) },
  ];
}

/** Why a new password will not be taken, or nothing. */
export function weakness(text: string): string | undefined {
  if (rules(text).every((rule) => rule.met)) return undefined;
  return 'Use 8 to 72 characters with a lower-case letter, an upper-case letter and a digit.';
}
