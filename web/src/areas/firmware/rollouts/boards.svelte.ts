// The boards of one rollout, as a grid shows them: loaded once, then moved by the socket.

import { SvelteMap } from 'svelte/reactivity';
import { api, ask, sentence } from '$/api/client';
import { live } from '$/live/socket.svelte';
import { stateOf, type RolloutDevice } from './rollout';

const PAGE = 500;
/** Boards that are drawn; of larger rollouts the rest is in the counts and in the list. */
export const MOST = 5000;
/** Between two loads while a rollout moves, ms. */
const AGAIN_MS = 4000;

export class Boards {
  readonly all = new SvelteMap<string, RolloutDevice>();
  total = $state(0);
  problem = $state('');
  loaded = $state(false);
  #id: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #run = 0;

  constructor(id: string) {
    this.#id = id;
  }

  /** Loads them all. Never throws. */
  async load(): Promise<void> {
    const run = ++this.#run;
    try {
      const seen = new Set<string>();
      for (let page = 1; (page - 1) * PAGE < MOST; page++) {
        const params = { path: { id: this.#id }, query: { page, limit: PAGE } };
        const got = await ask(api.GET('/rollouts/{id}/devices', { params }));
        if (run !== this.#run) return;
        this.total = got.total;
        for (const one of got.data) {
          seen.add(one.device_id);
          const known = this.all.get(one.device_id);
          if (!known || JSON.stringify(known) !== JSON.stringify(one)) this.all.set(one.device_id, one);
        }
        if (got.data.length < PAGE) break;
      }
      for (const id of [...this.all.keys()]) if (!seen.has(id)) this.all.delete(id);
      this.problem = '';
      this.loaded = true;
    } catch (error) {
      if (run === this.#run) this.problem = sentence(error);
    }
  }

  /** Follows the socket until the returned function is called. */
  follow(): () => void {
    const offs = [
      live.on('update', ({ device_id, update }) => {
        const known = this.all.get(device_id);
        if (!known || update.rollout_id !== this.#id) return;
        const mine = update.way === 'back' ? { back: update } : { update, state: stateOf(update), message: null };
        this.all.set(device_id, { ...known, ...mine });
      }),
      // Counts moved: what no frame told of is fetched a little later.
      live.on('rollout', ({ rollout_id }) => {
        if (rollout_id === this.#id) this.#soon();
      }),
      live.onResync(() => void this.load()),
    ];
    return () => {
      offs.forEach((off) => off());
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.load();
    }, AGAIN_MS);
  }
}
