// What a widget's card needs to know of its widget, whether it is live or shown by a read-only link.

import type { Json } from '$/api/client';
import type { LiveDevice } from '$/live/fleet.svelte';
import type { Config } from './config';
import type { Control } from './live-control.svelte';
import type { Course } from './history.svelte';
import type { Kind } from './layout';

export interface Model {
  readonly id: string;
  readonly kind: Kind;
  /** What it is called; never empty. */
  readonly label: string;
  readonly config: Config;
  /** What the board reports, or the widget's own value. */
  readonly value: Json | undefined;
  /** Time of the value, ms; 0 when it is not known. */
  readonly at: number;
  /** The newest numbers, oldest first. */
  readonly recent: { at: number; value: number }[];
  readonly device: LiveDevice | undefined;
  /** How it is controlled; nothing when it only shows. */
  readonly control: Control | undefined;
  /** The values of a chart. */
  readonly course: Course | undefined;
}
