// What a board says when it will not take a value.

/** As one sentence; boards give their reason without a full stop, or none. */
export function refusal(state: { reason?: string | null | undefined } | undefined): string {
  const why = state?.reason || 'it gave no reason';
  return `The board refused it: ${why.replace(/\.$/, '')}.`;
}
