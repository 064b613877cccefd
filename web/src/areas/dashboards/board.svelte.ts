// One open dashboard: its widgets, where they stand, and what can be done with it. Kept current by the app socket.

import { api, ask, Problem, sentence, type Dashboard, type Json, type Schemas, type Widget } from '$/api/client';
import { live } from '$/live/socket.svelte';
import { toasts } from '$/ui/toasts.svelte';
import { Courses, type Course } from './history.svelte';
import { arrange, compact, free, layoutItems, sameLayout, samePlaces, sizeOf, type Placed } from './layout';
import { LiveWidget } from './live-widget.svelte';

/** What makes a widget, without its dashboard. */
export type Draft = Omit<Schemas['CreateWidget'], 'dashboard_id'>;

export class Board {
  readonly id: string;
  info = $state.raw<Dashboard | undefined>(undefined);
  widgets = $state.raw<LiveWidget[]>([]);
  problem = $state.raw<Problem | undefined>(undefined);
  /** Layouts to go back to, newest last. */
  past = $state.raw<Placed[][]>([]);
  /** Where everything stands, in the order in which one column shows it. */
  places = $derived.by(() => {
    const order = new Map(this.widgets.map((widget) => [widget.id, widget.info.order]));
    const at = ({ id }: Placed): number => order.get(id) ?? 0;
    return arrange(this.widgets.map((widget) => widget.info)).sort((a, b) => at(a) - at(b));
  });
  /** Widgets with their places, in the same order. */
  shown = $derived.by(() => {
    const byId = new Map(this.widgets.map((widget) => [widget.id, widget]));
    return this.places.map((place) => ({ place, widget: byId.get(place.id)! }));
  });

  #courses = new Courses();
  #stop: (() => void)[] = [];
  #saving: Promise<void> = Promise.resolve();

  constructor(id: string) {
    this.id = id;
  }

  start(): void {
    this.#courses.start();
    this.#stop = [
      live.on('widget_update', (frame) => {
        if (frame.dashboard_id === this.id) this.#put(frame.widget, Date.parse(frame.timestamp));
      }),
      live.on('widget_deleted', (frame) => {
        if (frame.dashboard_id === this.id) this.#drop(frame.widget_id);
      }),
      live.onResync(() => void this.reload()),
    ];
    void this.reload();
  }

  stop(): void {
    this.#courses.stop();
    for (const stop of this.#stop) stop();
    this.#stop = [];
  }

  /** Fetches it (again). What is shown stays meanwhile. */
  async reload(): Promise<void> {
    try {
      const got = await ask(api.GET('/dashboards/{id}', { params: { path: { id: this.id } } }));
      // The same path is a picture for electronic paper when one asks for it; here it never is.
      const { widgets, ...info } = got as Exclude<typeof got, number[]>;
      const known = new Map(this.widgets.map((widget) => [widget.id, widget]));
      this.widgets = widgets.map((widget) => {
        const old = known.get(widget.id);
        old?.take(widget, 0);
        return old ?? new LiveWidget(widget, this.#courses);
      });
      this.info = info;
      this.problem = undefined;
      this.loadDevices();
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem(0, 'fault', sentence(error));
    }
  }

  /** The values of a key over time, as its charts here share them. */
  course(device: string, key: string, period: string): Course {
    return this.#courses.get(device, key, period);
  }

  /** Loads the newest values of the devices that are shown, and the last hour behind their values. */
  loadDevices(): void {
    for (const device of new Set(this.widgets.map((widget) => widget.device))) {
      if (!device) continue;
      // A device that cannot be asked shows what came with the widgets; the next return asks again.
      void device.load().catch(() => undefined);
      const plain = this.widgets.filter((widget) => widget.device === device && widget.kind === 'telemetry');
      this.#courses.loadRecent(device.id, [...new Set(plain.map((widget) => widget.config.key ?? ''))].filter(Boolean));
    }
  }

  #put(info: Widget, at: number): LiveWidget {
    const known = this.widgets.find((widget) => widget.id === info.id);
    if (known) {
      known.take(info, at);
      return known;
    }
    const widget = new LiveWidget(info, this.#courses);
    this.widgets = [...this.widgets, widget];
    return widget;
  }

  #drop(id: string): void {
    this.widgets = this.widgets.filter((widget) => widget.id !== id);
  }

  /** Places everything anew, which also gives the order of one column. */
  async place(wanted: Placed[]): Promise<void> {
    const places = compact(wanted);
    if (!samePlaces(this.places, places)) await this.#lay(places, true);
  }

  /** Changes only the order of one column. */
  async reorder(places: Placed[]): Promise<void> {
    await this.#lay(places, true);
  }

  /** At once here, then on the server; back when it refuses. */
  async #lay(places: Placed[], undoable: boolean): Promise<void> {
    const before = this.places;
    if (sameLayout(before, places)) return;
    if (undoable) this.past = [...this.past, before];
    this.#show(places);
    await this.#save(this.places, before);
  }

  /** Goes back to the layout before the last change. */
  async undo(): Promise<void> {
    const before = this.past[this.past.length - 1];
    if (!before) return;
    this.past = this.past.slice(0, -1);
    // Widgets that came since then keep their places; those that went have none.
    const there = new Set(this.widgets.map((widget) => widget.id));
    const old = before.filter((place) => there.has(place.id));
    const named = new Set(old.map((place) => place.id));
    await this.#lay([...old, ...this.places.filter((place) => !named.has(place.id))], false);
  }

  #show(places: Placed[]): void {
    const items = new Map(layoutItems(places).map((item) => [item.id, item]));
    for (const widget of this.widgets) {
      const item = items.get(widget.id);
      if (!item) continue;
      const { x, y, width, height } = item;
      widget.info = {
        ...widget.info,
        x: x ?? null,
        y: y ?? null,
        width: width ?? null,
        height: height ?? null,
        order: item.order ?? 0,
      };
    }
  }

  async #save(places: Placed[], before: Placed[]): Promise<void> {
    const path = { id: this.id };
    const body = { layout: layoutItems(places) };
    // One after the other, so that the last one wins.
    this.#saving = this.#saving.then(async () => {
      try {
        await ask(api.PUT('/dashboards/{id}/layout', { params: { path }, body }));
      } catch (error) {
        if (sameLayout(this.places, places)) this.#show(before);
        toasts.failed(error);
      }
    });
    await this.#saving;
  }

  /** Makes a widget and puts it at a place, or at the first free one; in one column at `index`, or last. */
  async create(draft: Draft, at?: Placed, index?: number): Promise<LiveWidget> {
    const widget = await ask(api.POST('/widgets', { body: { ...draft, dashboard_id: this.id } }));
    const others = this.places.filter((place) => place.id !== widget.id);
    const { w, h } = at ?? sizeOf(widget.type);
    const place: Placed = { ...(at ?? free(others, w, h)), id: widget.id };
    const made = this.#put(widget, 0);
    this.loadDevices();
    this.#show(others.toSpliced(index ?? others.length, 0, place));
    await this.#save(this.places, others);
    return made;
  }

  async change(id: string, change: Schemas['ChangeWidget']): Promise<void> {
    const widget = await ask(api.PATCH('/widgets/{id}', { params: { path: { id } }, body: change }));
    this.#put(widget, 0);
    this.loadDevices();
  }

  /** Deletes a widget; `undo` makes an equal one at the same place. */
  async remove(widget: LiveWidget): Promise<{ undo: () => Promise<void> }> {
    const index = this.places.findIndex((one) => one.id === widget.id);
    const place = this.places[index];
    const draft = draftOf(widget.info);
    await ask(api.DELETE('/widgets/{id}', { params: { path: { id: widget.id } } }));
    this.#drop(widget.id);
    return { undo: async () => void (await this.create(draft, place, index)) };
  }

  duplicate(widget: LiveWidget): Promise<LiveWidget> {
    const place = this.places.find((one) => one.id === widget.id);
    const { w, h } = place ?? sizeOf(widget.kind);
    return this.create(draftOf(widget.info), { ...free(this.places, w, h), id: '' });
  }

  async rename(name: string, description: string): Promise<void> {
    const path = { id: this.id };
    this.info = await ask(api.PATCH('/dashboards/{id}', { params: { path }, body: { name, description } }));
  }

  /** Makes a read-only link and returns its secret. */
  async share(): Promise<string> {
    const link = await ask(api.POST('/dashboards/{id}/share', { params: { path: { id: this.id } } }));
    if (this.info) this.info = { ...this.info, shared: true };
    return link.token;
  }

  async unshare(): Promise<void> {
    await ask(api.DELETE('/dashboards/{id}/share', { params: { path: { id: this.id } } }));
    if (this.info) this.info = { ...this.info, shared: false };
  }
}

function draftOf(widget: Widget): Draft {
  const { schedules: _, ...config } = widget.config as Record<string, Json>;
  return {
    type: widget.type,
    ...(widget.device_id ? { device_id: widget.device_id } : {}),
    ...(widget.label ? { label: widget.label } : {}),
    // Without a device the value is the widget's own.
    ...(!widget.device_id && widget.value !== undefined && widget.value !== null ? { value: widget.value } : {}),
    config,
  };
}
