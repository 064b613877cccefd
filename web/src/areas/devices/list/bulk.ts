// One change to many devices: sent in parts so that it can be followed and stopped, and taken back where possible.

import { api, ask, sentence, type Device, type Schemas } from '$/api/client';

type Action = Schemas['BulkAction'];

export type Change =
  | { do: 'add_tag'; tag: string }
  | { do: 'remove_tag'; tag: string }
  | { do: 'set_group'; group: string | null }
  | { do: 'delete' };

export interface Failed {
  id: string;
  name: string;
  why: string;
}
export interface Outcome {
  /** The devices that were changed, as they were before. */
  done: Device[];
  failed: Failed[];
  /** Not tried any more because it was stopped. */
  left: number;
}

/** Devices per request: small enough that the bar moves, large enough that a thousand take a second. */
const PART = 50;

export function actionOf(change: Change): Action {
  switch (change.do) {
    case 'add_tag':
      return { add_tags: [change.tag] };
    case 'remove_tag':
      return { remove_tags: [change.tag] };
    case 'set_group':
      return { set_group: change.group };
    case 'delete':
      return { delete: true };
  }
}

/** The device as it is after the change; nothing when it is gone. */
export function changed(device: Device, change: Change): Device | undefined {
  switch (change.do) {
    case 'add_tag':
      return { ...device, tags: [...device.tags.filter((tag) => tag !== change.tag), change.tag] };
    case 'remove_tag':
      return { ...device, tags: device.tags.filter((tag) => tag !== change.tag) };
    case 'set_group':
      return { ...device, groups: change.group === null ? [] : [change.group] };
    case 'delete':
      return undefined;
  }
}

export type Step = { change: Change; devices: Device[] } | { groups: string[]; device: Device };

/** What takes a change back, given the devices as they were before it. Deletion cannot be taken back. */
export function undoSteps(change: Change, before: Device[]): Step[] {
  if (change.do === 'add_tag') {
    const devices = before.filter((device) => !device.tags.includes(change.tag));
    return devices.length ? [{ change: { do: 'remove_tag', tag: change.tag }, devices }] : [];
  }
  if (change.do === 'remove_tag') {
    const devices = before.filter((device) => device.tags.includes(change.tag));
    return devices.length ? [{ change: { do: 'add_tag', tag: change.tag }, devices }] : [];
  }
  if (change.do === 'delete') return [];
  const byGroup = new Map<string | null, Device[]>();
  const steps: Step[] = [];
  for (const device of before) {
    if (device.groups.length > 1) {
      // A bulk change knows one group only.
      steps.push({ groups: device.groups, device });
      continue;
    }
    const group = device.groups[0] ?? null;
    if (group === change.group) continue;
    byGroup.set(group, [...(byGroup.get(group) ?? []), device]);
  }
  for (const [group, devices] of byGroup) steps.push({ change: { do: 'set_group', group }, devices });
  return steps;
}

/** Sends a change part by part. `moved` hears how many are through; a signal stops it before the next part. */
export async function run(
  devices: Device[],
  change: Change,
  moved: (through: number, done: Device[]) => void = () => {},
  signal?: AbortSignal,
): Promise<Outcome> {
  const outcome: Outcome = { done: [], failed: [], left: 0 };
  const action = actionOf(change);
  for (let at = 0; at < devices.length; at += PART) {
    if (signal?.aborted) {
      outcome.left = devices.length - at;
      break;
    }
    const part = devices.slice(at, at + PART);
    const done: Device[] = [];
    try {
      const answer = await ask(
        api.POST('/devices/bulk', { body: { device_ids: part.map((device) => device.id), action } }),
      );
      answer.results.forEach((result, i) => {
        const device = part[i];
        if (!device) return;
        if (result.ok) done.push(device);
        else outcome.failed.push({ id: device.id, name: device.name, why: result.error ?? `Status ${result.status}` });
      });
    } catch (error) {
      for (const device of part) outcome.failed.push({ id: device.id, name: device.name, why: sentence(error) });
    }
    outcome.done.push(...done);
    moved(Math.min(at + PART, devices.length), done);
  }
  return outcome;
}

/** Takes a change back; returns what could not be. `put` hears each device as it is again. */
export async function undo(change: Change, before: Device[], put: (device: Device) => void): Promise<Failed[]> {
  const failed: Failed[] = [];
  for (const step of undoSteps(change, before)) {
    if ('change' in step) {
      const outcome = await run(step.devices, step.change);
      failed.push(...outcome.failed);
      outcome.done.forEach(put);
      continue;
    }
    const { device, groups } = step;
    try {
      await ask(api.PATCH('/devices/{id}', { params: { path: { id: device.id } }, body: { groups } }));
      put(device);
    } catch (error) {
      failed.push({ id: device.id, name: device.name, why: sentence(error) });
    }
  }
  return failed;
}

/** "Tag "x" added to", for the sentence of what was done. */
export function doneText(change: Change, devices: string): string {
  switch (change.do) {
    case 'add_tag':
      return `Tag “${change.tag}” added to ${devices}.`;
    case 'remove_tag':
      return `Tag “${change.tag}” removed from ${devices}.`;
    case 'set_group':
      return change.group === null
        ? `${devices} taken out of all groups.`
        : `${devices} put into group “${change.group}”.`;
    case 'delete':
      return `${devices} deleted.`;
  }
}
