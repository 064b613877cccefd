// A simulated ESP32-C3 or -C6 at the end of a serial line: reset pins, baud rate, the ROM's loader, and what runs from
// flash. It knows neither browser nor network: `port.ts` puts it into a page, `tcp.ts` behind a socket.

import { type BoardSettings, start } from './app';
import { NorFlash } from './flash';
import { Loader } from './loader';
import { C3, type Model } from './models';
import { Registers } from './registers';
import { frame, Unframer } from './slip';

const ROM_BAUD = 115_200;

export interface Options {
  model?: Model;
  /** Bytes of flash. */
  flash?: number;
  mac?: readonly number[];
  /** How it is connected: its own USB controller, or a bridge with or without wires to reset it. */
  wiring?: 'usb' | 'bridge' | 'bare';
}

export class Chip {
  readonly model: Model;
  readonly flash: NorFlash;
  readonly wiring: 'usb' | 'bridge' | 'bare';
  readonly mac: readonly number[];
  loader!: Loader;
  mode: 'off' | 'download' | 'app' | 'nothing' = 'off';
  baud = ROM_BAUD;
  /** The fastest that a host asked for. */
  fastest = ROM_BAUD;
  /** The baud rate that the host's port was opened with; through USB there is none. */
  hostBaud = ROM_BAUD;
  /** Hears what the chip sends. */
  send: (bytes: Uint8Array) => void = () => {};
  /** Is called when an app with settings starts. */
  onApp: (settings: BoardSettings) => void = () => {};
  /** Answers a line typed at the running app. */
  console: (line: string) => string[] = (line) => [`unknown command: ${line}`];
  /** Starts since it was made. */
  starts = 0;

  #unframer = new Unframer();
  #typed = '';
  #dtr = false;
  #rts = false;
  /** The strapping pin, as a finger or the host's lines hold it. */
  #boot = false;
  #held = false;
  #resetting = false;

  constructor({
    model = C3,
    flash = 0x40_0000,
    mac = [0x60, 0x55, 0xf9, 0x01, 0x02, 0x03],
    wiring = 'usb',
  }: Options = {}) {
    this.model = model;
    this.flash = new NorFlash(flash);
    this.mac = mac;
    this.wiring = wiring;
    this.#newLoader();
  }

  #newLoader(): void {
    this.loader = new Loader({
      model: this.model,
      flash: this.flash,
      registers: new Registers(this.model, this.flash, this.mac),
      send: (packet) => this.#out(frame(packet)),
      setBaud: (baud) => {
        this.baud = baud;
        this.fastest = Math.max(this.fastest, baud);
      },
      start: () => this.#start(false),
    });
  }

  #out(bytes: Uint8Array): void {
    if (this.mode === 'off') return;
    // Another speed on the other side hears noise.
    const heard = this.wiring === 'usb' || this.hostBaud === this.baud;
    this.send(heard ? bytes : bytes.map((byte) => (byte * 7 + 0x80) & 0xff));
  }

  /** Prints a line. */
  print(line: string): void {
    this.#out(new TextEncoder().encode(`${line}\r\n`));
  }

  /** Power comes on. */
  powerOn(): void {
    this.#start(this.#held);
  }

  /** Power is gone; flash stays. */
  powerOff(): void {
    this.mode = 'off';
    this.#dtr = this.#rts = this.#boot = this.#resetting = false;
  }

  /** A person holds BOOT and presses RESET. */
  bootButton(): void {
    this.#start(true);
  }

  /** A person holds BOOT while the board gets power. */
  holdBoot(held: boolean): void {
    this.#held = held;
  }

  #start(download: boolean): void {
    this.starts++;
    this.baud = ROM_BAUD;
    this.#unframer.reset();
    this.#typed = '';
    const security = this.loader.security;
    this.#newLoader();
    this.loader.security = security;
    this.mode = 'nothing';
    this.#out(new TextEncoder().encode(this.model.banner));
    if (download) {
      this.mode = 'download';
      this.print(`rst:0x1 (POWERON),boot:${this.model.strap.download}`);
      this.print('waiting for download');
      return;
    }
    const began = start(this.flash, this.model);
    this.mode = began.kind;
    for (const line of began.lines) this.print(line);
    if (began.kind === 'app' && began.settings) this.onApp(began.settings);
  }

  /** The host's control lines. Only what is named changes. */
  signals(change: { dtr?: boolean; rts?: boolean }): void {
    if (this.mode === 'off' || this.wiring === 'bare') return;
    this.#dtr = change.dtr ?? this.#dtr;
    this.#rts = change.rts ?? this.#rts;
    // RTS alone holds the chip in reset, DTR alone pulls the strapping pin.
    if (this.#rts && !this.#dtr) {
      this.#resetting = true;
      if (this.wiring === 'bridge') this.#boot = false;
      return;
    }
    if (this.#dtr && !this.#rts) this.#boot = true;
    else if (!this.#dtr && !this.#rts && !this.#resetting) this.#boot = false;
    // The capacitor at EN lets the pin rise after DTR has settled; the USB controller remembers DTR from before.
    if (this.#resetting && !this.#rts) {
      this.#resetting = false;
      const download = this.#boot || this.#held;
      if (this.wiring === 'usb') this.#boot = false;
      this.#start(download);
    }
  }

  /** Takes bytes from the host. */
  receive(bytes: Uint8Array): void {
    if (this.mode === 'off' || this.#resetting) return;
    if (this.wiring !== 'usb' && this.hostBaud !== this.baud) return;
    if (this.mode === 'download') {
      for (const packet of this.#unframer.push(bytes)) this.loader.take(packet);
    } else if (this.mode === 'app') {
      this.#type(new TextDecoder().decode(bytes));
    }
  }

  #type(text: string): void {
    const lines = (this.#typed + text).split(/\r\n|\r|\n/);
    this.#typed = lines.pop()!;
    for (const line of lines) {
      this.print(`> ${line}`);
      for (const answer of this.console(line.trim())) this.print(answer);
    }
  }
}
