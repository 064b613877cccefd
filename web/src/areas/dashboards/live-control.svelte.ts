// The state machine of a control, connected to the server.

import { api, ask, Problem, sentence, type Json } from '$/api/client';
import { IDLE, same, shown, step, type Event, type Phase, type Twin } from './control';

/** How long the mark of a confirmed value stays. */
const MARK_MS = 1500;

/** Sends what a person wants of a widget's key and follows it until the board has it. */
export class Control {
  phase = $state.raw<Phase>(IDLE);
  #id: string;
  #show: (value: Json) => string;
  #encode: (value: Json) => Json;
  #twin: Twin | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;

  /** `show` makes words of a value; `encode` makes of it what the server takes for this widget. */
  constructor(id: string, show: (value: Json) => string, encode: (value: Json) => Json) {
    this.#id = id;
    this.#show = show;
    this.#encode = encode;
  }

  /** What the control shows: the wanted value while it is on its way, else the reported one. */
  shown(reported: Json | undefined): Json | undefined {
    return shown(this.phase, reported);
  }

  get waiting(): boolean {
    return this.phase.kind === 'sending' || this.phase.kind === 'pending';
  }

  /** Wants a value. */
  press(value: Json): void {
    if (this.phase.kind === 'sending' && same(this.phase.wanted, value)) return;
    this.#take({ type: 'press', value });
  }

  /** Hears what the server says of the key. */
  hear(twin: Twin): void {
    if (this.#twin && this.#twin.version > twin.version) return;
    this.#twin = twin;
    this.#take({ type: 'twin', twin, show: this.#show });
  }

  #take(event: Event): void {
    const next = step(this.phase, event);
    this.phase = next.phase;
    clearTimeout(this.#rest);
    if (next.phase.kind === 'confirmed') this.#rest = setTimeout(() => this.#take({ type: 'rest' }), MARK_MS);
    if (next.send !== undefined) void this.#send(next.send);
  }

  async #send(value: Json): Promise<void> {
    const state = this.#encode(value);
    try {
      const path = { id: this.#id };
      const set = await ask(api.POST('/widgets/{id}/state', { params: { path }, body: { state } as never }));
      this.#take({ type: 'stored', version: set.version, status: set.status });
      // The board may have been quicker than the answer.
      if (this.#twin && this.#twin.version >= set.version) {
        this.#take({ type: 'twin', twin: this.#twin, show: this.#show });
      }
    } catch (error) {
      const away = error instanceof Problem && error.status === 0;
      this.#take({
        type: 'refused',
        reason: away ? 'The server cannot be reached. Try again when it is.' : sentence(error),
      });
    }
  }
}
