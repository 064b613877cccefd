// The app socket: one connection for the whole app. It says when it is lost, comes back by itself, and tells
// everybody to catch up on what was missed.

import type { Device, Json, Notice, Schemas, Values, Widget } from '$/api/client';

export type Frame =
  | { type: 'connected'; message: string; timestamp?: string }
  | { type: 'pong'; timestamp: string }
  | { type: 'telemetry_update'; device_id: string; timestamp: string; data: Values }
  | { type: 'status_update'; device_id: string; status: 'online' | 'offline'; timestamp: string }
  | { type: 'widget_update'; dashboard_id: string; widget: Widget; timestamp: string }
  | { type: 'widget_deleted'; dashboard_id: string; widget_id: string; timestamp: string }
  | { type: 'device_added'; device_id: string; data: Device; timestamp: string }
  | { type: 'device_removed'; device_id: string; timestamp: string }
  | { type: 'notification'; notification: Partial<Notice> & { title: string; message: string } }
  | { type: 'control_command'; device_id: string; command: string; params: Json; timestamp: string }
  | {
      type: 'desired_update';
      device_id: string;
      key: string;
      value: Json;
      version: number;
      reported_version: number;
      state: 'pending' | 'done' | 'expired' | 'refused';
      reason?: string;
    }
  | {
      type: 'command_update';
      device_id: string;
      command_id: string;
      state: 'pending' | 'sent' | 'done' | 'failed' | 'expired' | 'cancelled';
      result?: Json;
      error?: string;
      timestamp: string;
    }
  | { type: 'rollout'; rollout_id: string; rollout: Schemas['RolloutView']; timestamp: string }
  | { type: 'update'; device_id: string; update: Schemas['UpdateView']; timestamp: string }
  | { type: 'error'; message: string; code?: string };

type Kind = Frame['type'];
type Hear<K extends Kind> = (frame: Extract<Frame, { type: K }>) => void;

/** The server closes a socket that is silent for 45 s. */
const PING_MS = 20_000;
/** A connection that does not answer a ping within this time is dead, whatever the system says. */
const PONG_MS = 8_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** What the server says when the session is over. */
const UNAUTHORIZED = 4401;

export class LiveSocket {
  /** `idle`: not wanted. `lost`: was there, is being tried again. */
  state = $state<'idle' | 'connecting' | 'live' | 'lost'>('idle');
  /** When the next attempt is made, ms since 1970; 0 when none is planned. */
  nextTry = $state(0);

  #socket: WebSocket | undefined;
  #heard = new Map<string, Set<(frame: never) => void>>();
  #resync = new Set<() => void>();
  #failures = 0;
  #wasLive = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;
  #pong: ReturnType<typeof setTimeout> | undefined;
  #ended: () => void = () => {};

  /** Connects and stays connected until `stop`. `ended` is called when the session is over. */
  start(ended: () => void): void {
    if (this.state !== 'idle') return;
    this.#ended = ended;
    window.addEventListener('online', this.retry);
    document.addEventListener('visibilitychange', this.#seen);
    this.#connect();
  }

  stop(): void {
    window.removeEventListener('online', this.retry);
    document.removeEventListener('visibilitychange', this.#seen);
    clearTimeout(this.#timer);
    this.#drop();
    this.state = 'idle';
    this.#wasLive = false;
    this.nextTry = 0;
  }

  /** Tries at once instead of waiting for the next attempt. */
  retry = (): void => {
    if (this.state !== 'lost') return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  /** Hears frames of one kind; returns how to stop. */
  on<K extends Kind>(kind: K, hear: Hear<K>): () => void {
    const set = this.#heard.get(kind) ?? new Set();
    this.#heard.set(kind, set);
    set.add(hear as (frame: never) => void);
    return () => set.delete(hear as (frame: never) => void);
  }

  /** Is told after every return of a lost connection: fetch again what may have changed meanwhile. */
  onResync(hear: () => void): () => void {
    this.#resync.add(hear);
    return () => this.#resync.delete(hear);
  }

  #seen = (): void => {
    if (document.visibilityState === 'visible') this.retry();
  };

  #connect(): void {
    this.nextTry = 0;
    if (this.state !== 'lost') this.state = 'connecting';
    const url = new URL('/ws', window.location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onmessage = (event) => this.#hear(event.data as string);
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      this.#drop();
      if (event.code === UNAUTHORIZED) {
        this.stop();
        this.#ended();
      } else {
        this.#lost();
      }
    };
  }

  #hear(text: string): void {
    clearTimeout(this.#pong);
    this.#pong = undefined;
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      return;
    }
    if (frame.type === 'connected') this.#up();
    for (const hear of this.#heard.get(frame.type) ?? []) (hear as (frame: Frame) => void)(frame);
  }

  #up(): void {
    this.#failures = 0;
    const again = this.#wasLive;
    this.#wasLive = true;
    this.state = 'live';
    clearInterval(this.#ping);
    this.#ping = setInterval(() => {
      this.#socket?.send('{"type":"ping"}');
      this.#pong ??= setTimeout(() => {
        this.#drop();
        this.#lost();
      }, PONG_MS);
    }, PING_MS);
    if (again) for (const hear of this.#resync) hear();
  }

  #drop(): void {
    clearInterval(this.#ping);
    clearTimeout(this.#pong);
    this.#pong = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
  }

  #lost(): void {
    this.state = 'lost';
    // What happens before the first connection is also missed by what was fetched meanwhile.
    this.#wasLive = true;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    // A whole class must not come back in the same moment.
    const wait = longest * (0.5 + Math.random() / 2);
    this.nextTry = Date.now() + wait;
    this.#timer = setTimeout(() => this.#connect(), wait);
  }
}

export const live = new LiveSocket();
