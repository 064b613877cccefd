// The courses of a dashboard's charts: loaded once for their length of time, then continued by what comes live.
//
// Fifty charts may be on a page: a course that nobody sees collects its values, but is not drawn.

import { SvelteMap } from 'svelte/reactivity';
import { api, ask, sentence, type Json, type Schemas } from '$/api/client';
import { fleet } from '$/live/fleet.svelte';
import { live } from '$/live/socket.svelte';
import type { Columns } from '$/ui/chart';
import { asNumber, periodSeconds } from './config';

/** Points across a chart: more than its pixels help nobody. */
const POINTS = 400;
/** Old points are cut off in pieces of this size, not one by one. */
const CUT = 50;

/** The values of one key over time. */
export class Course {
  columns = $state.raw<Columns>([[], []]);
  /** Whether the past was loaded. */
  state = $state<'idle' | 'loading' | 'ready' | 'failed'>('idle');
  problem = $state('');
  readonly seconds: number;
  #times: number[] = [];
  #values: number[] = [];
  #watchers = 0;
  #dirty = false;
  #past: (() => Promise<[number, number][]>) | undefined;

  constructor(period: string, past?: () => Promise<[number, number][]>) {
    this.seconds = periodSeconds(period);
    this.#past = past;
  }

  /** When its oldest value was measured, ms. */
  get begin(): number {
    return (this.#times[0] ?? 0) * 1000;
  }

  /** Is on screen from now on: loads what is missing and shows what came. Returns how to stop. */
  watch(): () => void {
    this.#watchers++;
    if (this.state === 'idle') void this.load();
    if (this.#dirty) this.#publish();
    return () => void this.#watchers--;
  }

  /** Loads the past (again); what came live meanwhile stays. */
  async load(): Promise<void> {
    if (this.state === 'loading') return;
    const before = this.state;
    this.state = 'loading';
    try {
      const past = (await this.#past?.()) ?? [];
      const end = past[past.length - 1]?.[0] ?? -Infinity;
      const newer = this.#times.map((at, i): [number, number] => [at, this.#values[i]!]).filter(([at]) => at > end);
      const kept = this.#past ? newer : this.#times.map((at, i): [number, number] => [at, this.#values[i]!]);
      const all = [...past, ...kept];
      this.#times = all.map(([at]) => at);
      this.#values = all.map(([, value]) => value);
      this.state = 'ready';
      this.#publish();
    } catch (error) {
      this.problem = sentence(error);
      this.state = before === 'ready' ? 'ready' : 'failed';
    }
  }

  /** Continues it with a value. Values that stand closer than a pixel replace each other. */
  add(at: number, value: number): void {
    const time = at / 1000;
    const n = this.#times.length;
    if (n && time < this.#times[n - 1]!) return;
    if (n > 1 && time - this.#times[n - 2]! < this.seconds / POINTS) {
      this.#times[n - 1] = time;
      this.#values[n - 1] = value;
    } else {
      this.#times.push(time);
      this.#values.push(value);
    }
    const begin = time - this.seconds;
    if (this.#times[CUT] !== undefined && this.#times[CUT] < begin) {
      this.#times.splice(0, CUT);
      this.#values.splice(0, CUT);
    }
    if (this.#watchers > 0) this.#publish();
    else this.#dirty = true;
  }

  #publish(): void {
    this.#dirty = false;
    this.columns = [this.#times, this.#values];
  }

  /** Loads again what was shown, after a lost connection. */
  refresh(): void {
    if (this.#watchers > 0) void this.load();
    else if (this.state === 'ready') this.state = 'idle';
  }
}

async function past(device: string, key: string, period: string): Promise<[number, number][]> {
  const query = { device_id: [device], key: [key], period, buckets: POINTS, agg: ['mean', 'last'] };
  const answer = await ask(api.GET('/telemetry/history', { params: { query } }));
  const points = (answer as Schemas['HistoryAnswer']).series[0]?.points ?? [];
  return points.flatMap((point): [number, number][] => {
    const value = asNumber((point.mean ?? point.last) as Json | undefined);
    return value === undefined ? [] : [[Number(point.t) / 1000, value]];
  });
}

interface Point {
  at: number;
  value: number;
}

/** Points behind a plain value. */
const RECENT_POINTS = 40;

/** All courses of one dashboard, by device, key and length. */
export class Courses {
  /** The last hour of keys that are shown as plain values, by device and key. */
  #recent = new SvelteMap<string, Point[]>();
  #all = new Map<string, { device: string; key: string; course: Course }>();
  #stop: (() => void)[] = [];

  get(device: string, key: string, period: string): Course {
    const name = `${device} ${key} ${period}`;
    const known = this.#all.get(name);
    if (known) return known.course;
    const course = new Course(period, () => past(device, key, period));
    this.#all.set(name, { device, key, course });
    return course;
  }

  /** The last hour of a key before its live values, when it was loaded. */
  recent(device: string, key: string): Point[] {
    return this.#recent.get(`${device} ${key}`) ?? [];
  }

  /** Loads the last hour of keys that are not there yet. It is only an ornament: a failure shows none. */
  loadRecent(device: string, all: string[]): void {
    const keys = all.filter((key) => !this.#recent.has(`${device} ${key}`));
    if (keys.length === 0) return;
    for (const key of keys) this.#recent.set(`${device} ${key}`, []);
    const query = {
      device_id: [device],
      key: keys,
      period: '1h',
      buckets: RECENT_POINTS,
      agg: ['mean'],
      format: 'series',
    };
    ask(api.GET('/telemetry/history', { params: { query } })).then(
      (answer) => {
        for (const { key, points } of (answer as Schemas['HistoryAnswer']).series) {
          const numbers = points.flatMap((point): Point[] => {
            const value = asNumber(point.mean as Json | undefined);
            return value === undefined ? [] : [{ at: Number(point.t), value }];
          });
          this.#recent.set(`${device} ${key}`, numbers);
        }
      },
      () => undefined,
    );
  }

  start(): void {
    this.#stop = [
      fleet.onTelemetry((id, data, at) => {
        for (const { device, key, course } of this.#all.values()) {
          if (device !== id) continue;
          const value = asNumber(data[key]);
          if (value !== undefined) course.add(at, value);
        }
      }),
      live.onResync(() => {
        for (const { course } of this.#all.values()) course.refresh();
      }),
    ];
  }

  stop(): void {
    for (const stop of this.#stop) stop();
    this.#stop = [];
  }
}
