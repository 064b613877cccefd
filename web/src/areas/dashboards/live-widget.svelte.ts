// A widget of a dashboard, always current: what the server says of it, moved by its device's values.

import type { Json, Widget } from '$/api/client';
import { fleet } from '$/live/fleet.svelte';
import { keyLabel } from '$/util/keys';
import { isOn, readConfig, withUnit } from './config';
import { same } from './control';
import { Control } from './live-control.svelte';
import type { Courses } from './history.svelte';
import { CONTROLS, type Kind } from './layout';
import type { Model } from './model';
import { KINDS } from './settings';

export class LiveWidget implements Model {
  /** What the server said last. */
  info = $state.raw<Widget>() as Widget;
  readonly control: Control | undefined;
  #courses: Courses;
  /** A value that came with the widget and not with telemetry. */
  #told = $state.raw<{ value: Json | undefined; at: number }>({ value: undefined, at: 0 });

  config = $derived.by(() => readConfig(this.info.type, this.info.config));
  device = $derived.by(() => (this.info.device_id ? fleet.devices.get(this.info.device_id) : undefined));
  #reading = $derived.by((): { value: Json | undefined; at: number } => {
    const key = this.config.key;
    const values = this.device?.values;
    // The oldest firmware calls its first pin `led`.
    const live = key && values ? (values[key] ?? (key === 'v0' ? values.led : undefined)) : undefined;
    return live && live.at >= this.#told.at ? live : this.#told;
  });

  constructor(info: Widget, courses: Courses) {
    this.#courses = courses;
    this.info = info;
    const show = (value: Json): string => withUnit(value, this.config);
    // A switch is told on or off; the server knows which values that means.
    const flips = info.type === 'led' || info.type === 'switch';
    const encode = (value: Json): Json => (flips ? Number(isOn(value, this.config) ?? false) : value);
    this.control = CONTROLS.includes(info.type) ? new Control(info.id, show, encode) : undefined;
    this.take(info, 0);
  }

  get id(): string {
    return this.info.id;
  }
  get kind(): Kind {
    return this.info.type;
  }
  get label(): string {
    return (
      this.info.label ||
      (this.config.key ? keyLabel(this.config.key) : (this.device?.info.name ?? KINDS[this.kind].name))
    );
  }
  get value(): Json | undefined {
    return this.#reading.value ?? undefined;
  }
  get at(): number {
    return this.#reading.at;
  }
  get recent(): { at: number; value: number }[] {
    const { key } = this.config;
    const device = this.device;
    if (!device || !key) return [];
    void device.values;
    const live = device.recent[key] ?? [];
    const begin = live[0]?.at ?? Infinity;
    return [...this.#courses.recent(device.id, key).filter(({ at }) => at < begin), ...live];
  }
  get course() {
    const { device_id: device } = this.info;
    const { key, period } = this.config;
    return device && key ? this.#courses.get(device, key, period) : undefined;
  }

  /** Takes what the server says of it. `at` is when it said so; 0 when a list was fetched. */
  take(info: Widget, at: number): void {
    const before = this.info;
    this.info = info;
    const value = info.value as Json | undefined;
    const moved = before.device_id !== info.device_id || before.config.key !== info.config.key;
    // A frame about a wish repeats the value that was there: it does not make it any newer.
    const newer = moved || at === 0 || !same(value ?? null, this.#reading.value ?? null);
    if (newer) this.#told = { value, at };
    this.control?.hear({
      version: info.version,
      status: info.state,
      reason: info.reason,
      desired: info.desired as Json | undefined,
      reported: info.reported as Json | undefined,
    });
  }
}
