// Something that is loaded from the server: what it is, whether it is being loaded, and why it is not there.

import { Problem, sentence } from './client';

/** A value with its loading state. The last value stays visible while a new one is fetched. */
export class Resource<T> {
  value = $state.raw<T | undefined>(undefined);
  problem = $state.raw<Problem | undefined>(undefined);
  loading = $state(false);
  #load: () => Promise<T>;
  #run = 0;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  /** Fetches it (again). Of several fetches the last one counts. Never throws. */
  async reload(): Promise<void> {
    const run = ++this.#run;
    this.loading = true;
    try {
      const value = await this.#load();
      if (run !== this.#run) return;
      this.value = value;
      this.problem = undefined;
    } catch (error) {
      if (run !== this.#run) return;
      this.problem = error instanceof Problem ? error : new Problem(0, 'fault', sentence(error));
    }
    this.loading = false;
  }

  /** Replaces the value with what is known better. */
  set(value: T): void {
    this.#run++;
    this.value = value;
    this.problem = undefined;
    this.loading = false;
  }
}
