// The simulated chip in a browser: `navigator.serial` of a page is replaced by one whose only port leads here. Bytes, signals
// and the pulled cable cross by Playwright's bridge; the chip itself runs in the test.

import type { Page } from '@playwright/test';
import type { Chip } from './chip';

const IDS = { usb: [0x303a, 0x1001], bridge: [0x10c4, 0xea60], bare: [0x1a86, 0x7523] } as const;

/** What happens when the page asks for a port. */
type Choice = 'board' | 'nothing' | 'blocked';

export class Socket {
  /** What the person chooses. */
  choice: Choice = 'board';
  #page: Page;
  #chip: Chip | undefined;
  #out: Uint8Array[] = [];
  #pushing = false;
  #held = false;

  private constructor(page: Page) {
    this.#page = page;
  }

  /** Puts the socket into every page that this one will be. */
  static async of(page: Page): Promise<Socket> {
    const socket = new Socket(page);
    await page.exposeFunction('__serial', (op: string, ...args: unknown[]) => socket.#hear(op, args));
    await page.addInitScript(install);
    return socket;
  }

  /** Plugs a board in: it gets power and starts. */
  plug(chip: Chip): void {
    this.#chip = chip;
    this.#out = [];
    chip.send = (bytes) => {
      this.#out.push(bytes.slice());
      void this.#push();
    };
    chip.powerOn();
  }

  /** Pulls the cable. */
  async unplug(): Promise<void> {
    this.#chip?.powerOff();
    this.#chip = undefined;
    await this.#page.evaluate(() => (window as unknown as Hooks).__serialGone());
  }

  /** Holds back what the board sends, for pictures of what takes a moment; or lets it through again. */
  hold(held: boolean): void {
    this.#held = held;
    void this.#push();
  }

  #hear(op: string, args: unknown[]): unknown {
    if (op === 'choose') return this.#chip || this.choice !== 'board' ? this.choice : 'nothing';
    const chip = this.#chip;
    if (!chip) return 'gone';
    switch (op) {
      case 'info':
        return IDS[chip.wiring];
      case 'open':
        chip.hostBaud = args[0] as number;
        // What was printed before anybody listened is lost.
        this.#out = [];
        return 'done';
      case 'write':
        chip.receive(Buffer.from(args[0] as string, 'base64'));
        return this.#chip ? 'done' : 'gone';
      case 'signals': {
        const [dtr, rts] = args as (boolean | null)[];
        chip.signals({ ...(dtr === null ? {} : { dtr: dtr! }), ...(rts === null ? {} : { rts: rts! }) });
        return 'done';
      }
      default:
        return 'done';
    }
  }

  async #push(): Promise<void> {
    if (this.#pushing || this.#held) return;
    this.#pushing = true;
    while (this.#out.length && !this.#held) {
      const bytes = Buffer.concat(this.#out.splice(0)).toString('base64');
      // A page that is being left hears nothing more.
      await this.#page.evaluate((b) => (window as unknown as Hooks).__serialBytes(b), bytes).catch(() => undefined);
    }
    this.#pushing = false;
  }
}

interface Hooks {
  __serial: (op: string, ...args: unknown[]) => Promise<unknown>;
  __serialBytes: (base64: string) => void;
  __serialGone: () => void;
}

/** Runs in the page, before its own scripts. */
function install(): void {
  const hooks = window as unknown as Hooks;
  const gone = (): Error => new DOMException('The device has been lost.', 'NetworkError');
  const encode = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));

  class Port extends EventTarget {
    readable: ReadableStream<Uint8Array> | null = null;
    writable: WritableStream<Uint8Array> | null = null;
    out: ReadableStreamDefaultController<Uint8Array> | undefined;
    ids: readonly number[] = [];

    getInfo(): SerialPortInfo {
      return { usbVendorId: this.ids[0]!, usbProductId: this.ids[1]! };
    }
    async open({ baudRate }: SerialOptions): Promise<void> {
      if (this.readable) throw new DOMException('The port is already open.', 'InvalidStateError');
      if ((await hooks.__serial('open', baudRate)) !== 'done')
        throw new DOMException('Failed to open serial port.', 'NetworkError');
      this.readable = new ReadableStream({
        start: (controller) => void (this.out = controller),
        cancel: () => void (this.out = undefined),
      });
      this.writable = new WritableStream({
        write: async (bytes) => {
          if ((await hooks.__serial('write', encode(bytes))) !== 'done') throw gone();
        },
      });
    }
    async setSignals({ dataTerminalReady, requestToSend }: SerialOutputSignals): Promise<void> {
      if ((await hooks.__serial('signals', dataTerminalReady ?? null, requestToSend ?? null)) !== 'done') throw gone();
    }
    async close(): Promise<void> {
      if (this.readable?.locked || this.writable?.locked) throw new TypeError('Cannot close: a stream is locked.');
      this.readable = this.writable = null;
      this.out = undefined;
      await hooks.__serial('close');
    }
    async forget(): Promise<void> {}
  }

  const port = new Port();
  hooks.__serialBytes = (base64) => port.out?.enqueue(Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)));
  hooks.__serialGone = () => {
    try {
      port.out?.error(gone());
    } catch {
      // It was closed already.
    }
    port.out = undefined;
    port.dispatchEvent(new Event('disconnect'));
  };
  const serial = Object.assign(new EventTarget(), {
    requestPort: async () => {
      const choice = await hooks.__serial('choose');
      if (choice === 'blocked') throw new DOMException('Access to the port is not allowed.', 'SecurityError');
      if (choice === 'nothing') throw new DOMException('No port selected by the user.', 'NotFoundError');
      const ids = await hooks.__serial('info');
      if (Array.isArray(ids)) port.ids = ids as number[];
      return port;
    },
    getPorts: async () => [port],
  });
  Object.defineProperty(navigator, 'serial', { value: serial, configurable: true });
}
