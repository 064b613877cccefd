// A page over the whole screen, for a wall or a shelf: without navigation, and the screen stays awake.

export class FullScreen {
  on = $state(false);
  #awake: WakeLockSentinel | undefined;
  #hidden: HTMLElement[] = [];

  enter(): void {
    this.on = true;
    // Navigation lies under the page: neither keys nor screen readers should find it there.
    this.#hidden = [...document.querySelectorAll<HTMLElement>('nav[aria-label="Main"], a.skip')];
    for (const element of this.#hidden) element.inert = true;
    document.addEventListener('fullscreenchange', this.#changed);
    document.addEventListener('keydown', this.#key);
    // Some phones have no full screen of their own: the page covers what it can.
    document.documentElement.requestFullscreen?.().catch(() => undefined);
    void navigator.wakeLock?.request('screen').then(
      (lock) => {
        if (this.on) this.#awake = lock;
        else void lock.release();
      },
      () => undefined,
    );
  }

  leave(): void {
    if (!this.on) return;
    this.on = false;
    document.removeEventListener('fullscreenchange', this.#changed);
    document.removeEventListener('keydown', this.#key);
    for (const element of this.#hidden) element.inert = false;
    if (document.fullscreenElement) void document.exitFullscreen();
    void this.#awake?.release();
    this.#awake = undefined;
  }

  #changed = (): void => {
    if (!document.fullscreenElement) this.leave();
  };
  #key = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) this.leave();
  };
}
