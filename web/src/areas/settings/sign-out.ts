// Ends the session of this browser only; `session.signOut` ends all of them.

import { api, ask } from '$/api/client';

/** Signs this browser out and starts anew. */
export async function signOutHere(): Promise<void> {
  const sessions = await ask(api.GET('/me/sessions'));
  const mine = sessions.find((one) => one.current);
  if (mine) await ask(api.DELETE('/me/sessions/{id}', { params: { path: { id: mine.id } } }));
  // Everything in memory belongs to whoever left.
  window.location.assign('/');
}
