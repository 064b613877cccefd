// A serial port of the browser with one reader: bytes as they come, and word at once when it is gone. It knows no protocol.

import { failure, portFailure } from './failure';

/** Espressif's own USB controller, inside the chip: baud rates mean nothing there. */
const ESPRESSIF = 0x303a;
const USB_JTAG = 0x1001;

/** Big enough that a busy page loses nothing at full speed, bytes. */
const BUFFER = 64 * 1024;

/** Whether ports can be opened here, and if not, why. */
export function support(): 'ok' | 'insecure' | 'no-serial' {
  if (!window.isSecureContext) return 'insecure';
  return 'serial' in navigator ? 'ok' : 'no-serial';
}

/** Lets the person choose a port; needs a press of a button. Throws a `UsbFailure`. */
export async function choosePort(): Promise<SerialPort> {
  const here = support();
  if (here !== 'ok') throw failure(here);
  try {
    return await navigator.serial.requestPort();
  } catch (error) {
    throw portFailure(error);
  }
}

export class Link {
  readonly port: SerialPort;
  /** Hears bytes as they come. */
  onBytes: (bytes: Uint8Array) => void = () => {};
  /** Is called once when the board is gone. */
  onLost: () => void = () => {};
  /** Whether the board was there and is not any more. */
  lost = false;

  #open = false;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> | undefined;

  constructor(port: SerialPort) {
    this.port = port;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether the chip itself is the USB device, not a bridge before it. */
  get native(): boolean {
    const { usbVendorId, usbProductId } = this.port.getInfo();
    return usbVendorId === ESPRESSIF && usbProductId === USB_JTAG;
  }

  /** Opens the port and begins to read. Throws a `UsbFailure`. */
  async open(baudRate: number): Promise<void> {
    try {
      await this.port.open({ baudRate, bufferSize: BUFFER });
    } catch (error) {
      throw this.lost ? failure('lost') : portFailure(error);
    }
    this.#open = true;
    this.lost = false;
    this.port.addEventListener('disconnect', this.#gone);
    this.#reading = this.#read();
  }

  /** Stops reading and closes. What is gone already needs no closing. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.port.removeEventListener('disconnect', this.#gone);
    await this.#reader?.cancel().catch(() => undefined);
    await this.#reading;
    await this.port.close().catch(() => undefined);
  }

  /** Sends bytes. Throws a `UsbFailure` when the board is gone. */
  async write(bytes: Uint8Array): Promise<void> {
    const writer = !this.lost && this.#open ? this.port.writable?.getWriter() : undefined;
    if (!writer) throw failure('lost');
    try {
      await writer.write(bytes);
    } catch {
      this.#gone();
      throw failure('lost');
    } finally {
      writer.releaseLock();
    }
  }

  /** Sets the control lines. Throws a `UsbFailure` when the board is gone. */
  async signals(dtr: boolean, rts: boolean): Promise<void> {
    try {
      await this.port.setSignals({ dataTerminalReady: dtr, requestToSend: rts });
    } catch {
      this.#gone();
      throw failure('lost');
    }
  }

  /** Lets the board start anew from its flash. */
  async restart(): Promise<void> {
    await this.signals(false, true);
    await new Promise((done) => setTimeout(done, 100));
    await this.signals(false, false);
  }

  #gone = (): void => {
    if (this.lost || !this.#open) return;
    this.lost = true;
    this.onLost();
  };

  async #read(): Promise<void> {
    while (this.#open && !this.lost && this.port.readable) {
      const reader = this.port.readable.getReader();
      this.#reader = reader;
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          if (value?.length) this.onBytes(value);
        }
        // Cancelled, or the stream ended because the device did.
        if (this.#open) this.#gone();
        return;
      } catch (error) {
        // Noise on the line gives a new stream; anything else is the end of this one.
        const name = error instanceof Error ? error.name : '';
        if (!/^(BufferOverrun|Break|Framing|Parity)Error$/.test(name)) return this.#gone();
      } finally {
        reader.releaseLock();
        this.#reader = undefined;
      }
    }
  }
}
