// One board being flashed: from the choice of firmware to its first sign of life. The page shows this and calls it; what is
// secret stays in here and goes to the board alone.

import { tick } from 'svelte';
import { api, ask, sentence, type Device } from '$/api/client';
import { Resource } from '$/api/resource.svelte';
import { fleet } from '$/live/fleet.svelte';
import { monitor } from '../monitor/monitor.svelte';
import { toasts } from '$/ui/toasts.svelte';
import { bytes } from '$/util/format';
import type { Board, Facts, Piece } from './board';
import { profileFor, profiles, type Profile } from './boards';
import { SENTENCES, UsbFailure } from './failure';
import { boardName, certificate, check, keyDigits, origin, portalPassword, tooLong } from './form';
import { checked, choices, misfit, pieces, type Kit } from './kit';
import { choosePort, Link } from './link';
import type { Network, Settings } from './record';
import { save } from './save';
import { hereZone } from './zone';

export type Phase = 'idle' | 'connecting' | 'ready' | 'saving' | 'writing' | 'written';

/** A piece on its way: what it is called, and how far it is. */
export interface Step {
  name: string;
  size: number;
  done: number;
  state: 'waiting' | 'writing' | 'written' | 'checked';
}

/** Settings are keys that firmware trusts at once, as many as it holds. */
const MOST_KEYS = 8;

export class Flash {
  readonly kits = new Resource<Kit[]>(async () => (await ask(api.GET('/firmware/kits'))).kits);

  kitId = $state('');
  /** Empty for a new device. */
  deviceId = $state('');
  name = $state('');
  server = $state(window.location.origin);
  networks = $state<Network[]>([{ ssid: '', password: '' }]);
  ca = $state('');
  /** Which pins are what: as chosen for this chip, else as the firmware is made for. */
  chosenProfile = $state('');
  errors = $state<Record<string, string>>({});

  phase = $state<Phase>('idle');
  problem = $state('');
  /** The problem was a cable, and the board is only half written. */
  half = $state(false);
  facts = $state.raw<Facts | undefined>(undefined);
  steps = $state<Step[]>([]);
  /** 0 to 1 of the backup. */
  saved = $state(0);
  /** The file that the backup went into. */
  backup = $state('');
  /** The device that the board has become. */
  device = $state.raw<Device | undefined>(undefined);
  /** What opens the board's own network. */
  portal = $state('');

  #board: Board | undefined;
  #link: Link | undefined;
  // Made once per device, so that a second attempt is the same device with the same token.
  #made: { key: string; device: Device } | undefined;
  // Whoever connects again at once must not find the port half closed.
  #closing: Promise<void> | undefined;
  #files: { kit: string; parts: Piece[] } | undefined;

  get kit(): Kit | undefined {
    return this.kits.value?.find(({ id }) => id === this.kitId);
  }

  get sorted(): Kit[] {
    return choices(this.kits.value ?? [], this.facts?.chip);
  }

  /** Why the chosen firmware is not for the connected board; empty when it is. */
  get misfit(): string {
    return (this.kit && this.facts && misfit(this.kit, this.facts)?.message) ?? '';
  }

  /** Firmware of the same kind that is for the connected board. */
  get fitting(): Kit | undefined {
    const { kit, facts } = this;
    if (!kit || !facts) return undefined;
    const fits = this.sorted.filter((one) => !misfit(one, facts));
    return fits.find(({ variant }) => variant === kit.variant) ?? fits[0];
  }

  /** What is on the pins; nothing where the firmware knows no board with this chip. */
  get profile(): Profile | undefined {
    const { kit, chosenProfile } = this;
    return kit && (profiles(kit.chip).find(({ name }) => name === chosenProfile) ?? profileFor(kit));
  }

  get busy(): boolean {
    return this.phase === 'connecting' || this.phase === 'saving' || this.phase === 'writing';
  }

  /** How much of all is written, 0 to 1. */
  get progress(): number {
    const all = this.steps.reduce((sum, { size }) => sum + size, 0);
    return all ? this.steps.reduce((sum, { done }) => sum + done, 0) / all : 0;
  }

  /** Loads the kits and chooses one: the wanted one, where it still is there. */
  async load(wanted = this.kitId): Promise<void> {
    this.kitId = wanted;
    await this.kits.reload();
    if (this.kits.value && !this.kit) this.kitId = this.sorted[0]?.id ?? '';
  }

  /** Lets the person choose the port, and asks the board who it is. */
  async connect(): Promise<void> {
    this.problem = '';
    try {
      const port = await choosePort();
      await this.leave();
      // The monitor may still listen to the board of before.
      await monitor.close();
      this.phase = 'connecting';
      const { Board } = await import('./board');
      const link = new Link(port);
      link.onLost = () => this.#lost(link);
      this.#link = link;
      this.#board = await Board.connect(link);
      this.facts = this.#board.facts;
      this.half = false;
      this.phase = 'ready';
    } catch (error) {
      this.#link = undefined;
      this.#fail(error, 'idle');
    }
  }

  /** Reads all of the flash into a file. */
  async save(): Promise<void> {
    const board = this.#board;
    if (!board || this.busy) return;
    this.phase = 'saving';
    this.problem = '';
    this.saved = 0;
    try {
      const read = await board.read(0, board.facts.flash, (done, all) => (this.saved = done / all));
      const { chip, mac } = board.facts;
      const day = new Date().toISOString().slice(0, 10);
      this.backup = `${chip.toLowerCase()}-${mac.replaceAll(':', '').toLowerCase()}-${day}.bin`;
      save(this.backup, new Blob([read], { type: 'application/octet-stream' }));
      this.phase = 'ready';
    } catch (error) {
      this.#fail(error, 'ready');
    }
  }

  /** Whether everything that was entered can be used; what cannot is marked. */
  check(): boolean {
    this.errors = check(this, !this.deviceId);
    return Object.keys(this.errors).length === 0;
  }

  /** Writes everything, verifies it, and starts the board. */
  async write(): Promise<void> {
    const [board, kit] = [this.#board, this.kit];
    if (!board || !kit || this.busy || this.misfit || !this.check()) return;
    this.phase = 'writing';
    this.problem = '';
    this.half = false;
    this.steps = [];
    try {
      const parts = await this.#parts(kit);
      const device = await this.#device();
      const all = pieces(kit, parts, await this.#settings(device));
      await this.#put(board, all);
      await this.#start(board, device);
    } catch (error) {
      this.#fail(error, 'ready');
    }
  }

  /** Puts a backup back: all of the flash as it was. */
  async restore(file: File): Promise<void> {
    const board = this.#board;
    if (!board || this.busy) return;
    this.problem = '';
    if (file.size !== board.facts.flash) {
      this.problem = `${file.name} has ${bytes(file.size)}, and the board’s flash ${bytes(board.facts.flash)}. Choose a backup of all of its flash.`;
      return;
    }
    this.phase = 'writing';
    this.steps = [];
    try {
      await this.#put(board, [{ name: 'backup', offset: 0, data: new Uint8Array(await file.arrayBuffer()) }]);
      await this.leave();
      toasts.done(`${file.name} is on the board again, and it has started anew`);
    } catch (error) {
      this.#fail(error, 'ready');
    }
  }

  /** Writes pieces in their order, then verifies all of them. */
  async #put(board: Board, all: readonly Piece[]): Promise<void> {
    this.steps = all.map(({ name, data }) => ({ name, size: data.length, done: 0, state: 'waiting' }));
    for (const [i, piece] of all.entries()) {
      const step = this.steps[i]!;
      step.state = 'writing';
      this.half = true;
      await board.write(piece, (done) => (step.done = done));
      step.done = step.size;
      step.state = 'written';
    }
    for (const [i, piece] of all.entries()) {
      await board.verify(piece);
      this.steps[i]!.state = 'checked';
    }
    this.half = false;
  }

  /** Starts the board when everybody listens already, so that nothing of its first words is missed. */
  async #start(board: Board, device: Device): Promise<void> {
    this.#link = undefined;
    this.#board = undefined;
    this.device = device;
    this.phase = 'written';
    monitor.clear();
    monitor.attach(board.link);
    await tick();
    // A board that was unplugged meanwhile starts when it gets power; that it was is told by the monitor.
    await board.restart().catch(() => undefined);
  }

  /** Closes the connection and forgets the board, not what was entered. */
  async leave(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    this.#board = undefined;
    this.facts = undefined;
    this.backup = '';
    this.steps = [];
    this.phase = 'idle';
    if (link) this.#closing = end(link);
    await this.#closing;
  }

  /** Everything for another board: a new device, the same firmware and networks. */
  async another(): Promise<void> {
    await this.leave();
    this.device = undefined;
    this.#made = undefined;
    this.deviceId = '';
    this.name = '';
    this.portal = '';
    this.problem = '';
  }

  #lost(link: Link): void {
    if (link !== this.#link) return;
    this.#link = undefined;
    this.#board = undefined;
    this.facts = undefined;
    void link.close();
    // Whoever waits for the board hears it by an exception.
    if (!this.busy) this.#fail(new UsbFailure('lost', SENTENCES.lost), 'idle');
  }

  #fail(error: unknown, back: Phase): void {
    const trouble = error instanceof UsbFailure ? error.trouble : undefined;
    const gone = trouble === 'lost' || trouble === 'protocol';
    const why = trouble === 'lost' ? 'The connection was lost' : 'The board stopped answering';
    this.problem =
      gone && this.half
        ? `${why} while the board was being written. It holds half a firmware and starts nothing, but it is not broken: its loader is in the chip. Plug it in again, connect it, and write again; the device and its token stay the same.`
        : sentence(error);
    this.phase = this.#board && this.facts && !gone ? back : 'idle';
    // Who does not answer is asked again from the beginning.
    if (this.phase === 'idle') void this.leave();
  }

  async #parts(kit: Kit): Promise<Piece[]> {
    if (this.#files?.kit !== kit.id) {
      const parts = await Promise.all(
        kit.parts.map(async (part) => {
          const params = { path: { id: kit.id, name: part.name } };
          const file = await ask(
            api.GET('/firmware/kits/{id}/parts/{name}', { params, parseAs: 'arrayBuffer' }) as Promise<{
              data?: ArrayBuffer;
              error?: unknown;
              response: Response;
            }>,
          );
          return checked(part, file);
        }),
      );
      this.#files = { kit: kit.id, parts };
    }
    return this.#files.parts;
  }

  async #device(): Promise<Device> {
    const name = this.name.trim();
    const made = this.#made;
    if (made?.key === this.deviceId) {
      // A first attempt failed, and the person thought of a better name.
      if (this.deviceId || made.device.name === name) return made.device;
      await ask(api.PATCH('/devices/{id}', { params: { path: { id: made.device.id } }, body: { name } }));
      made.device = { ...made.device, name };
    } else {
      const device = this.deviceId
        ? await ask(api.POST('/devices/{id}/token', { params: { path: { id: this.deviceId } } }))
        : await ask(api.POST('/devices', { body: { name, tags: [] } }));
      this.#made = { key: this.deviceId, device };
    }
    const { device } = this.#made!;
    fleet.put({ ...device, device_token: '***' });
    return device;
  }

  async #settings(device: Device): Promise<Settings> {
    this.portal ||= portalPassword();
    const keys = await ask(api.GET('/firmware/keys'));
    const trusted = keys.filter((one) => !one.retired_at).map((one) => keyDigits(one.public_key));
    const server = origin(this.server) ?? this.server;
    const ca = server.startsWith('https:') ? certificate(this.ca) : undefined;
    const tz = hereZone();
    const settings: Settings = {
      name: boardName(device.name),
      server,
      device: device.id,
      token: device.device_token,
      networks: this.networks.map(({ ssid, password }) => ({ ssid, password })),
      portal: this.portal,
      // Without a name, the firmware takes the usual board of its chip.
      profile: this.profile?.name ?? '',
      ...(ca ? { ca } : {}),
      keys: trusted.filter((one) => one !== undefined).slice(0, MOST_KEYS),
      ...(tz ? { tz } : {}),
    };
    const long = tooLong(settings);
    if (long) throw new RangeError(long);
    return settings;
  }
}

/** Lets a board go: one that waits in its loader would wait for ever. */
async function end(link: Link): Promise<void> {
  if (!link.lost) await link.restart().catch(() => undefined);
  await link.close();
}
