// A widget that is being edited, as it will look: the real values of the chosen device, with the form's settings.

import type { Json } from '$/api/client';
import { fleet } from '$/live/fleet.svelte';
import { keyLabel } from '$/util/keys';
import { readConfig } from './config';
import type { Course } from './history.svelte';
import type { Kind } from './layout';
import type { Model } from './model';
import { check, KINDS, type Form } from './settings';

export class Preview implements Model {
  readonly id = 'preview';
  readonly control = undefined;
  #kind: () => Kind;
  #form: () => Form;
  #course: (device: string, key: string, period: string) => Course;

  constructor(kind: () => Kind, form: () => Form, course: (device: string, key: string, period: string) => Course) {
    this.#kind = kind;
    this.#form = form;
    this.#course = course;
  }

  get kind(): Kind {
    return this.#kind();
  }
  get label(): string {
    return labelOf(this.kind, this.#form());
  }
  config = $derived.by(() => readConfig(this.#kind(), check(this.#kind(), this.#form()).config));
  device = $derived.by(() => fleet.devices.get(this.#form().device));
  get value(): Json | undefined {
    const { key } = this.config;
    if (!key) return undefined;
    return this.device?.values[key]?.value ?? (this.device?.states[key]?.reported as Json | undefined) ?? undefined;
  }
  get at(): number {
    return (this.config.key && this.device?.values[this.config.key]?.at) || 0;
  }
  get recent(): { at: number; value: number }[] {
    void this.device?.values;
    return [...((this.config.key && this.device?.recent[this.config.key]) || [])];
  }
  get course(): Course | undefined {
    const { key, period } = this.config;
    return this.device && key ? this.#course(this.device.id, key, period) : undefined;
  }
}

/** What a widget is called when nobody gave it a name. */
export function labelOf(kind: Kind, form: Form): string {
  const given = form.label.trim();
  if (given) return given;
  if (form.key.trim()) return keyLabel(form.key.trim());
  return fleet.devices.get(form.device)?.info.name ?? KINDS[kind].name;
}
