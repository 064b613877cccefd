// A `SerialPort` as browsers have it, with a simulated chip behind, for tests that run in node. The one for pages is made of
// this behind a bridge (`page.ts`).

import type { Chip } from './chip';

const IDS = {
  usb: { usbVendorId: 0x303a, usbProductId: 0x1001 },
  bridge: { usbVendorId: 0x10c4, usbProductId: 0xea60 },
  bare: { usbVendorId: 0x1a86, usbProductId: 0x7523 },
};

const gone = (): Error => new DOMException('The device has been lost.', 'NetworkError');

export class ChipPort extends EventTarget {
  readable: ReadableStream<Uint8Array> | null = null;
  writable: WritableStream<Uint8Array> | null = null;
  #chip: Chip;
  #out: ReadableStreamDefaultController<Uint8Array> | undefined;
  #plugged = true;

  constructor(chip: Chip) {
    super();
    this.#chip = chip;
    chip.send = (bytes) => this.#out?.enqueue(bytes.slice());
  }

  getInfo(): SerialPortInfo {
    return IDS[this.#chip.wiring];
  }

  async open({ baudRate }: SerialOptions): Promise<void> {
    if (!this.#plugged) throw new DOMException('Failed to open serial port.', 'NetworkError');
    if (this.readable) throw new DOMException('The port is already open.', 'InvalidStateError');
    this.#chip.hostBaud = baudRate;
    this.readable = new ReadableStream({
      start: (controller) => void (this.#out = controller),
      cancel: () => void (this.#out = undefined),
    });
    this.writable = new WritableStream({
      write: async (bytes) => {
        if (!this.#plugged) throw gone();
        this.#chip.receive(bytes);
        if (!this.#plugged) throw gone();
      },
    });
  }

  async setSignals({ dataTerminalReady: dtr, requestToSend: rts }: SerialOutputSignals): Promise<void> {
    if (!this.#plugged) throw gone();
    this.#chip.signals({ ...(dtr === undefined ? {} : { dtr }), ...(rts === undefined ? {} : { rts }) });
  }

  async close(): Promise<void> {
    if (this.readable?.locked || this.writable?.locked) throw new TypeError('Cannot close: a stream is locked.');
    this.readable = this.writable = null;
    this.#out = undefined;
  }

  /** Pulls the cable. */
  unplug(): void {
    this.#plugged = false;
    this.#chip.powerOff();
    try {
      this.#out?.error(gone());
    } catch {
      // It was closed already.
    }
    this.#out = undefined;
    this.dispatchEvent(new Event('disconnect'));
  }

  plug(): void {
    this.#plugged = true;
    this.#chip.powerOn();
  }
}
