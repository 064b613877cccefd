// A dashboard behind a read-only link: asked for again and again, because a link has no live connection.

import { api, ask, Problem, sentence, type Json, type Schemas } from '$/api/client';
import { keyLabel } from '$/util/keys';
import { asNumber, readConfig, type Config } from './config';
import { same } from './control';
import { Course } from './history.svelte';
import { arrange, type Kind, type Placed } from './layout';
import type { Model } from './model';
import { KINDS } from './settings';

type Shown = Schemas['SharedWidget'];

/** Slow enough for a hundred viewers, quick enough to watch a switch. */
const EVERY_MS = 5_000;
const LONGEST_MS = 60_000;
const RECENT = 60;

/** A widget of a shared dashboard. */
class SharedWidget implements Model {
  info = $state.raw<Shown>() as Shown;
  recent = $state.raw<{ at: number; value: number }[]>([]);
  at = $state(0);
  readonly device = undefined;
  readonly control = undefined;
  readonly course: Course | undefined;
  config: Config = $derived.by(() => readConfig(this.info.type, this.info.config));

  constructor(info: Shown) {
    this.info = info;
    this.course = info.type === 'chart' ? new Course(this.config.period) : undefined;
  }
  get id(): string {
    return this.info.id;
  }
  get kind(): Kind {
    return this.info.type;
  }
  get label(): string {
    return this.info.label || (this.config.key ? keyLabel(this.config.key) : KINDS[this.kind].name);
  }
  get value(): Json | undefined {
    return (this.info.value as Json | undefined) ?? undefined;
  }

  take(info: Shown, at: number): void {
    // When a value was measured is not told; when it changed can be seen.
    if (this.at === 0 || !same(info.value as Json, this.info.value as Json)) this.at = at;
    this.info = info;
    const value = asNumber(this.value);
    if (value === undefined) return;
    this.recent = [...this.recent.slice(1 - RECENT), { at, value }];
    this.course?.add(at, value);
  }
}

export class SharedBoard {
  info = $state.raw<Schemas['SharedDashboard'] | undefined>(undefined);
  problem = $state.raw<Problem | undefined>(undefined);
  /** When the server answered last, ms. */
  at = $state(0);
  widgets = $state.raw<SharedWidget[]>([]);
  shown: { place: Placed; widget: Model }[] = $derived.by(() => {
    const byId = new Map(this.widgets.map((widget) => [widget.id, widget]));
    return arrange(this.widgets.map((widget) => widget.info))
      .map((place) => ({ place, widget: byId.get(place.id)! }))
      .sort((a, b) => a.widget.info.order - b.widget.info.order);
  });
  #token: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #running = false;

  constructor(token: string) {
    this.#token = token;
  }

  start(): void {
    this.#running = true;
    document.addEventListener('visibilitychange', this.#seen);
    void this.load();
  }
  stop(): void {
    this.#running = false;
    document.removeEventListener('visibilitychange', this.#seen);
    clearTimeout(this.#timer);
  }

  // A tab that nobody looks at asks nothing.
  #seen = (): void => {
    clearTimeout(this.#timer);
    if (document.visibilityState === 'visible') void this.load();
  };

  async load(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      const path = { token: this.#token };
      const info = await ask(api.GET('/shared/dashboards/{token}', { params: { path } }));
      const at = Date.parse(info.timestamp);
      const known = new Map(this.widgets.map((widget) => [widget.id, widget]));
      const widgets = info.widgets.map((one) => known.get(one.id) ?? new SharedWidget(one));
      for (const [i, widget] of widgets.entries()) widget.take(info.widgets[i]!, at);
      this.widgets = widgets;
      this.info = info;
      this.at = Date.now();
      this.problem = undefined;
      this.#failures = 0;
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem(0, 'fault', sentence(error));
      this.#failures++;
    }
    // A revoked link does not come back.
    if (!this.#running || this.problem?.status === 404 || document.visibilityState === 'hidden') return;
    const wait = Math.min(LONGEST_MS, EVERY_MS * 2 ** Math.min(this.#failures, 4));
    this.#timer = setTimeout(() => void this.load(), wait * (0.9 + Math.random() / 5));
  }
}
