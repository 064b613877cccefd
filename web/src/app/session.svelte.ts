// Who is signed in here, as the server says it.

import { api, ask, onSignedOut, Problem, type Schemas, type User } from '$/api/client';

type State = 'unknown' | 'out' | 'in' | 'unreachable';

class Session {
  state = $state<State>('unknown');
  user = $state.raw<User | undefined>(undefined);
  config = $state.raw<Schemas['AppConfig'] | undefined>(undefined);
  /** Set when the session ended under a page that was open: it stays, and asks to sign in again. */
  ended = $state(false);

  get isAdmin(): boolean {
    return this.user?.is_admin === true;
  }
  get mayWrite(): boolean {
    return this.user !== undefined && this.user.role !== 'viewer';
  }

  /** Asks the server who this browser is. */
  async load(): Promise<void> {
    try {
      const [config, user] = await Promise.all([
        ask(api.GET('/app/config')),
        ask(api.GET('/me')).catch((error: unknown) => {
          if (error instanceof Problem && error.status === 401) return undefined;
          throw error;
        }),
      ]);
      this.config = config;
      this.user = user;
      this.state = user ? 'in' : 'out';
      this.ended = false;
      if (user) void prolong();
    } catch {
      this.state = 'unreachable';
    }
  }

  async signOut(): Promise<void> {
    await ask(api.POST('/logout'));
    // Everything in memory belongs to whoever left.
    window.location.assign('/');
  }
}

export const session = new Session();

const PROLONGED = 'espalier.prolonged';
const DAY_MS = 86_400_000;

/** The cookie ends a week after it was last prolonged: once a day is enough, and never while nobody is here. */
async function prolong(): Promise<void> {
  try {
    if (Date.now() - Number(localStorage.getItem(PROLONGED) ?? 0) < DAY_MS) return;
    await fetch('/refresh', { method: 'POST' });
    localStorage.setItem(PROLONGED, String(Date.now()));
  } catch {
    // The next visit tries again.
  }
}

onSignedOut(() => {
  if (session.state === 'in') session.ended = true;
});
