// The transport under esptool-js, ours instead of theirs: it waits for bytes instead of asking every millisecond (a hidden tab
// is woken once a second), and says at once when the cable was pulled instead of after the time-out of a command.
// It belongs to the part of the app that is loaded when a board is connected.

import { Transport } from 'esptool-js';
import { failure } from './failure';
import { Link } from './link';

const END = 0xc0;
const ESC = 0xdb;
const ESCAPED: Record<number, number> = { 0xdc: END, 0xdd: ESC };

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export class Line extends Transport {
  readonly link: Link;
  /** What came and was not asked for yet. */
  #waiting: Uint8Array[] = [];
  #back: Uint8Array[] = [];
  #packet: number[] | undefined;
  #escaped = false;
  #wake: () => void = () => {};

  constructor(link: Link) {
    super(link.port, false);
    this.link = link;
    link.onBytes = (bytes) => {
      this.#waiting.push(bytes);
      this.#wake();
    };
    const lost = link.onLost;
    link.onLost = () => {
      this.#wake();
      lost();
    };
  }

  // What esptool-js tells the console is nothing that a person can use.
  override trace(): void {}

  override async connect(baud = 115_200): Promise<void> {
    this.baudrate = baud;
    // A second attempt of the library comes with the port open.
    if (!this.link.isOpen) await this.link.open(baud);
  }

  override async disconnect(): Promise<void> {
    await this.link.close();
  }

  override async changeBaudrate(baud: number): Promise<boolean> {
    await this.link.close();
    await this.link.open(baud);
    this.baudrate = baud;
    await pause(50);
    return true;
  }

  override async readLoop(): Promise<void> {
    // The link reads from the moment it is open.
  }

  override async write(data: Uint8Array): Promise<void> {
    await this.link.write(this.slipWriter(data));
  }

  override slipWriter(data: Uint8Array): Uint8Array {
    const out = new Uint8Array(data.length * 2 + 2);
    let at = 0;
    out[at++] = END;
    for (const byte of data) {
      if (byte === END || byte === ESC) {
        out[at++] = ESC;
        out[at++] = byte === END ? 0xdc : 0xdd;
      } else {
        out[at++] = byte;
      }
    }
    out[at++] = END;
    return out.subarray(0, at);
  }

  override async setRTS(state: boolean): Promise<void> {
    await this.link.signals(this._DTR_state, state);
  }

  override async setDTR(state: boolean): Promise<void> {
    this._DTR_state = state;
    try {
      await this.link.port.setSignals({ dataTerminalReady: state });
    } catch {
      throw failure('lost');
    }
  }

  override async setSignals(dtr = false, rts = false): Promise<void> {
    this._DTR_state = dtr;
    await this.link.signals(dtr, rts);
  }

  override inWaiting(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  override peek(): Uint8Array {
    const all = new Uint8Array(this.inWaiting());
    let at = 0;
    for (const chunk of this.#waiting) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  override flushInput(): void {
    this.#waiting = [];
    this.#back = [];
    this.#packet = undefined;
    this.#escaped = false;
  }

  override async drainInput(quietMs = 100, maxMs = 400): Promise<void> {
    const end = Date.now() + maxMs;
    for (let before = -1; Date.now() < end && before !== this.inWaiting();) {
      before = this.inWaiting();
      await pause(quietMs);
    }
    this.flushInput();
  }

  /** Lets the next `read` have a packet that was read already. */
  unread(packet: Uint8Array): void {
    this.#back.push(packet);
  }

  /** The next packet; what lies before one is noise. Throws when none comes within `timeout` ms, or none can come any more. */
  override async read(timeout: number): Promise<Uint8Array> {
    const end = Date.now() + timeout;
    for (;;) {
      const packet = this.#back.shift() ?? this.#take();
      if (packet) return packet;
      if (this.link.lost) throw failure('lost');
      const left = end - Date.now();
      if (left <= 0) throw new Error('The board does not answer.');
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  #take(): Uint8Array | undefined {
    for (let chunk = this.#waiting.shift(); chunk; chunk = this.#waiting.shift()) {
      for (let i = 0; i < chunk.length; i++) {
        const byte = chunk[i]!;
        if (byte === END) {
          const whole = this.#packet;
          this.#packet = whole?.length ? undefined : [];
          this.#escaped = false;
          if (!whole?.length) continue;
          if (i + 1 < chunk.length) this.#waiting.unshift(chunk.subarray(i + 1));
          return Uint8Array.from(whole);
        }
        if (!this.#packet) continue;
        if (this.#escaped) {
          this.#escaped = false;
          const meant = ESCAPED[byte];
          if (meant === undefined) this.#packet = undefined;
          else this.#packet.push(meant);
        } else if (byte === ESC) {
          this.#escaped = true;
        } else {
          this.#packet.push(byte);
        }
      }
    }
    return undefined;
  }
}
