// Which values are switches, and their words. Boards report switches as 0 and 1 as often as true and false.

import type { Json } from '$/api/client';
import { valueText } from './format';
import { scheduleText } from './schedules';

const SWITCH =
  /^(v\d+|led\d*|relay_?\d*|switch_?\d*|on|power_on|enabled|pump\d*|fan\d*|heater\d*|heating|valve\d*|light_on)$/i;
/** Yes or no that a board senses, or tells of itself. */
const TOLD = /^(open|motion|presence|occupancy|leak|smoke|safe_mode|.*_ok)$/i;
const WORDS: [RegExp, string, string][] = [
  [/^(open|door\w*|window\w*|gate\w*)$/i, 'Open', 'Closed'],
  [/^(motion|presence|occupancy)$/i, 'Detected', 'Clear'],
  [/^(leak|water_leak|smoke|alarm)$/i, 'Alarm', 'Clear'],
  [SWITCH, 'On', 'Off'],
];

function bit(value: Json | undefined): boolean | undefined {
  if (typeof value === 'boolean') return value;
  return value === 0 || value === 1 ? value === 1 : undefined;
}

/** Whether a key is something that a person turns on and off. */
export function isSwitch(key: string, value: Json | undefined): boolean {
  return typeof value === 'boolean' ? !TOLD.test(key) : bit(value) !== undefined && SWITCH.test(key);
}

/** Whether a switch is on. */
export function isOn(value: Json | undefined): boolean {
  return value === true || value === 1 || value === '1' || value === 'on';
}

/** The value that turns a switch, in the type that its board speaks. */
export function turned(like: Json | undefined, on: boolean): Json {
  return typeof like === 'boolean' ? on : on ? 1 : 0;
}

/** A value as people read it, knowing what its key means. */
export function meaning(key: string, value: Json | undefined, decimals?: number): string {
  const on = bit(value);
  if (on !== undefined) {
    for (const [names, yes, no] of WORDS) if (names.test(key)) return on ? yes : no;
  }
  const plan = key === 'schedules' ? scheduleText(value, (name, set) => meaning(name, set)) : undefined;
  return plan ?? valueText(value, decimals);
}
