// The account's notifications: the inbox over REST, new ones over the event stream.

import { api, ask, type Notice } from '$/api/client';

class Notices {
  list = $state.raw<Notice[]>([]);
  unread = $state(0);
  loaded = $state(false);
  #stream: EventSource | undefined;
  #hear = new Set<(notice: Notice) => void>();

  start(): void {
    document.addEventListener('visibilitychange', this.#seen);
    this.#seen();
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.#seen);
    this.#close();
    this.list = [];
    this.loaded = false;
  }

  /** Hears every new notification. */
  on(hear: (notice: Notice) => void): () => void {
    this.#hear.add(hear);
    return () => this.#hear.delete(hear);
  }

  async reload(): Promise<void> {
    try {
      const got = await ask(api.GET('/notifications', { params: { query: { limit: 50 } } }));
      this.list = got.notifications;
      this.unread = got.unread_count;
      this.loaded = true;
    } catch {
      // The bell keeps what it had; the banner tells of a lost server.
    }
  }

  async read(id: string): Promise<void> {
    await ask(api.PUT('/notifications/{id}/read', { params: { path: { id } } }));
    const before = this.list.find((notice) => notice.id === id);
    if (before && !before.read) this.unread = Math.max(0, this.unread - 1);
    this.list = this.list.map((notice) => (notice.id === id ? { ...notice, read: true } : notice));
  }

  async readAll(): Promise<void> {
    await ask(api.PUT('/notifications/read-all'));
    this.unread = 0;
    this.list = this.list.map((notice) => ({ ...notice, read: true }));
  }

  async remove(id: string): Promise<void> {
    await ask(api.DELETE('/notifications/{id}', { params: { path: { id } } }));
    await this.reload();
  }

  async clear(): Promise<void> {
    await ask(api.DELETE('/notifications'));
    await this.reload();
  }

  // A browser has six connections for all its tabs of one server: hidden tabs must not hold one each.
  #seen = (): void => {
    if (document.visibilityState === 'hidden') return this.#close();
    if (this.#stream) return;
    this.#stream = new EventSource('/notifications/stream');
    this.#stream.onmessage = (event) => this.#take(event.data as string);
    // Before it was open, or while it was away, something may have come: the inbox knows.
    this.#stream.onopen = () => void this.reload();
  };

  #close(): void {
    this.#stream?.close();
    this.#stream = undefined;
  }

  #take(text: string): void {
    let message: { type?: string; notification?: Notice };
    try {
      message = JSON.parse(text) as typeof message;
    } catch {
      return;
    }
    const notice = message.notification;
    if (message.type !== 'notification' || !notice?.id) return;
    if (this.list.some((known) => known.id === notice.id)) return;
    for (const hear of this.#hear) hear(notice);
    void this.reload();
  }
}

export const notices = new Notices();
