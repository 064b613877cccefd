// Deleting from the inbox with a way back: what was deleted is hidden at once and gone when nobody took it back.

import { notices } from '$/live/notices.svelte';
import { toasts } from '$/ui/toasts.svelte';

/** As long as the message that offers to take it back. */
const TAKE_BACK_MS = 10_000;

class Inbox {
  /** Deleted here, and not yet on the server. */
  hidden = $state.raw<ReadonlySet<string>>(new Set());
  #timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor() {
    // Who leaves has not taken it back.
    window.addEventListener('pagehide', () => {
      for (const id of this.#timers.keys()) void fetch(`/notifications/${id}`, { method: 'DELETE', keepalive: true });
    });
  }

  remove(id: string): void {
    this.hidden = new Set([...this.hidden, id]);
    this.#timers.set(
      id,
      setTimeout(() => void this.#finish(id), TAKE_BACK_MS),
    );
    toasts.done('Notification deleted.', { label: 'Undo', run: () => this.restore(id) });
  }

  restore(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    const hidden = new Set(this.hidden);
    hidden.delete(id);
    this.hidden = hidden;
  }

  async #finish(id: string): Promise<void> {
    this.#timers.delete(id);
    try {
      await notices.remove(id);
    } catch (error) {
      this.restore(id);
      toasts.failed(error);
    }
  }
}

export const inbox = new Inbox();
