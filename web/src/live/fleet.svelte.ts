// The devices of this account and their newest values, always current: loaded once, then moved by the socket.
//
// A thousand devices may send at once: frames are collected and shown once per picture of the screen.

import { SvelteMap } from 'svelte/reactivity';
import { api, ask, Problem, sentence, type Device, type Json, type KeyState } from '$/api/client';
import { live, type Frame } from './socket.svelte';

/** Numbers kept per key for sparklines. */
const RECENT = 60;

/** How long the list of devices waits for the socket, ms. */
const FIRST_WAIT_MS = 1000;

/** Devices whose values are fetched again at the same time. */
const AT_ONCE = 6;

type StatusFrame = Extract<Frame, { type: 'status_update' }>;

export interface Reading {
  value: Json;
  /** Time of the value, ms since 1970. */
  at: number;
}

/** One device with what is known of its values. */
export class LiveDevice {
  /** What the server says of it. */
  info = $state.raw<Device>() as Device;
  /** Newest value per key. Replaced as a whole, once per frame of the screen. */
  values = $state.raw<Readonly<Record<string, Reading>>>({});
  /** The newest numbers per key, oldest first, for sparklines. */
  recent: Record<string, { at: number; value: number }[]> = {};
  /** Desired against reported, per key; loaded by whoever shows it. */
  states = $state.raw<Readonly<Record<string, KeyState>>>({});
  /** Whether `values` was loaded from the server. */
  loaded = $state(false);

  constructor(info: Device) {
    this.info = info;
  }

  get id(): string {
    return this.info.id;
  }

  /** Loads the newest values and the states, unless they are there. */
  async load(again = false): Promise<void> {
    if (this.loaded && !again) return;
    this.loaded = true;
    try {
      const path = { params: { path: { device_id: this.id } } };
      const latest = await ask(api.GET('/devices/{device_id}/telemetry/latest', path));
      const at = latest.updated_ms as Record<string, number>;
      const values = { ...this.values };
      for (const [key, value] of Object.entries(latest.data as Record<string, Json>)) {
        const known = values[key];
        const when = at[key] ?? 0;
        if (!known || known.at <= when) values[key] = { value, at: when };
      }
      this.values = values;
      const state = await ask(api.GET('/devices/{id}/state', { params: { path: { id: this.id } } }));
      this.states = state.state as Record<string, KeyState>;
    } catch (error) {
      this.loaded = false;
      throw error;
    }
  }

  /** Takes values that came over the socket. */
  take(data: Record<string, Json>, at: number): void {
    const values = { ...this.values };
    for (const [key, value] of Object.entries(data)) {
      values[key] = { value, at };
      if (typeof value === 'number') {
        const list = (this.recent[key] ??= []);
        list.push({ at, value });
        if (list.length > RECENT) list.shift();
      }
    }
    this.values = values;
  }
}

class Fleet {
  readonly devices = new SvelteMap<string, LiveDevice>();
  state = $state<'idle' | 'loading' | 'ready'>('idle');
  problem = $state.raw<Problem | undefined>(undefined);
  /** Counts telemetry frames since the page was opened. */
  frames = $state(0);

  #loading = 0;
  #meanwhile: StatusFrame[] = [];
  #waiting: { id: string; data: Record<string, Json>; at: number }[] = [];
  #hearTelemetry = new Set<(id: string, data: Record<string, Json>, at: number) => void>();
  #planned = false;
  #stop: (() => void)[] = [];

  get list(): LiveDevice[] {
    return [...this.devices.values()];
  }

  start(): void {
    if (this.#stop.length) return;
    this.#stop = [
      live.on('telemetry_update', (f) => this.#queue(f.device_id, f.data, Date.parse(f.timestamp))),
      live.on('status_update', (f) => {
        if (this.#loading) this.#meanwhile.push(f);
        this.#status(f);
      }),
      live.on('device_added', (f) => this.put(f.data)),
      live.on('device_removed', (f) => void this.devices.delete(f.device_id)),
      live.on('desired_update', (f) => {
        const device = this.devices.get(f.device_id);
        if (!device) return;
        const before = device.states[f.key];
        const status = f.state;
        const next: KeyState = {
          ...(before ?? ({} as KeyState)),
          desired: f.value as KeyState['desired'],
          version: f.version,
          reported_version: f.reported_version,
          status,
        };
        if (status === 'refused') next.reason = f.reason ?? null;
        else delete next.reason;
        if (status === 'done') next.reported = f.value as KeyState['reported'];
        if (status === 'pending' && before?.version !== f.version) next.pending_since = new Date().toISOString();
        device.states = { ...device.states, [f.key]: next };
      }),
      live.onResync(() => void this.reload()),
    ];
    // Asked before the socket hears, the answer would miss what happens in between.
    this.state = 'loading';
    const first = (): void => {
      clearTimeout(timer);
      connected();
      void this.reload();
    };
    const timer = setTimeout(first, FIRST_WAIT_MS);
    const connected = live.on('connected', first);
    this.#stop.push(() => clearTimeout(timer), connected);
    if (live.state === 'live') first();
  }

  stop(): void {
    for (const stop of this.#stop) stop();
    this.#stop = [];
    this.devices.clear();
    this.state = 'idle';
  }

  /** Fetches every device; values that are shown are fetched again too. */
  async reload(): Promise<void> {
    if (this.state === 'idle') this.state = 'loading';
    this.#loading++;
    try {
      const list = await ask(api.GET('/devices'));
      const ids = new Set(list.map((device) => device.id));
      for (const id of [...this.devices.keys()]) if (!ids.has(id)) this.devices.delete(id);
      for (const device of list) this.put(device);
      // What was told while the answer was on its way may be newer than the answer.
      for (const frame of this.#meanwhile) this.#status(frame);
      this.state = 'ready';
      this.problem = undefined;
      // Whoever has scrolled through a thousand devices must not ask for all of them at once.
      const shown = this.list.filter((device) => device.loaded).values();
      const work = async (): Promise<void> => {
        for (const device of shown) await device.load(true).catch(() => undefined);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem(0, 'fault', sentence(error));
    }
    if (--this.#loading === 0) this.#meanwhile = [];
  }

  #status({ device_id, status, timestamp }: StatusFrame): void {
    const device = this.devices.get(device_id);
    const known = device?.info.last_status_notification;
    if (!device || (known && Date.parse(known) > Date.parse(timestamp))) return;
    const seen = status === 'online' ? { last_active: timestamp } : {};
    device.info = { ...device.info, ...seen, status, online: status === 'online', last_status_notification: timestamp };
  }

  /** Takes in a device that the server described. */
  put(info: Device): LiveDevice {
    const known = this.devices.get(info.id);
    if (known) {
      known.info = info;
      return known;
    }
    const device = new LiveDevice(info);
    this.devices.set(info.id, device);
    return device;
  }

  /** Hears the values of all devices once per picture. */
  onTelemetry(hear: (id: string, data: Record<string, Json>, at: number) => void): () => void {
    this.#hearTelemetry.add(hear);
    return () => this.#hearTelemetry.delete(hear);
  }

  #queue(id: string, data: Record<string, Json>, at: number): void {
    this.#waiting.push({ id, data, at });
    if (this.#planned) return;
    this.#planned = true;
    // A hidden page draws nothing, but must not collect without bound.
    if (document.visibilityState === 'visible') requestAnimationFrame(() => this.#show());
    else setTimeout(() => this.#show(), 1000);
  }

  #show(): void {
    this.#planned = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.frames += waiting.length;
    for (const { id, data, at } of waiting) {
      const device = this.devices.get(id);
      device?.take(data, at);
      if (device) device.info = { ...device.info, last_active: new Date(Math.max(at, 0)).toISOString() };
      for (const hear of this.#hearTelemetry) hear(id, data, at);
    }
  }
}

export const fleet = new Fleet();
