// A board's serial port that is listened to: the connection, what came, and what was sent. One at a time for the whole app,
// so that the log is still there when a person comes back from another page.

import { UsbFailure } from '../usb/failure';
import { choosePort, Link } from '../usb/link';
import { Lines, spoken, type Line } from './lines';

export const BAUDS = [9_600, 19_200, 38_400, 57_600, 74_880, 115_200, 230_400, 460_800, 921_600];
export const USUAL_BAUD = 115_200;

export const ENDINGS = { '\r\n': 'CR + LF', '\n': 'LF', '\r': 'CR', '': 'Nothing' } as const;
export type Ending = keyof typeof ENDINGS;

export class Monitor {
  state = $state<'closed' | 'opening' | 'open' | 'lost'>('closed');
  baud = $state(USUAL_BAUD);
  /** Whether the chip is the USB device itself: then the baud rate means nothing. */
  native = $state(false);
  lines = $state.raw<readonly Line[]>([]);
  problem = $state('');

  #log = new Lines();
  #link: Link | undefined;
  #port: SerialPort | undefined;
  #planned = false;

  /** Opens a port: the one of last time, or one that the person chooses. */
  async open(again = false): Promise<void> {
    this.problem = '';
    try {
      const port = again && this.#port ? this.#port : await choosePort();
      this.state = 'opening';
      await this.#link?.close();
      const link = new Link(port);
      await link.open(this.baud);
      this.attach(link);
      this.#note(link.native ? 'Connected' : `Connected at ${this.baud} baud`);
    } catch (error) {
      this.state = 'closed';
      this.problem = error instanceof UsbFailure ? error.message : String(error);
    }
  }

  /** Listens to a link that is open already. */
  attach(link: Link): void {
    this.#link = link;
    this.#port = link.port;
    this.native = link.native;
    this.state = 'open';
    link.onBytes = (bytes) => {
      this.#log.take(bytes, Date.now());
      this.#show();
    };
    link.onLost = () => {
      if (link !== this.#link) return;
      this.state = 'lost';
      this.#note('The board was unplugged');
      void link.close();
    };
  }

  async close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    if (this.state === 'open') this.#note('Disconnected');
    this.state = 'closed';
    await link?.close();
  }

  /** Listens at another speed. */
  async setBaud(baud: number): Promise<void> {
    this.baud = baud;
    const link = this.#link;
    if (this.state !== 'open' || !link || this.native) return;
    await this.#try(async () => {
      await link.close();
      await link.open(baud);
      this.#note(`Listening at ${baud} baud`);
    });
  }

  /** Sends a line; a secret one is not written down. */
  async send(line: string, ending: Ending, secret = false): Promise<void> {
    if (secret) this.#log.hide(line);
    this.#log.add('out', spoken(line, secret), Date.now());
    this.#show();
    await this.#try(() => this.#link?.write(new TextEncoder().encode(line + ending)));
  }

  /** Resets the board; it starts what is in its flash. */
  async restart(): Promise<void> {
    this.#note('Reset');
    await this.#try(() => this.#link?.restart());
  }

  clear(): void {
    this.#log.clear();
    this.lines = [];
  }

  async #try(work: () => Promise<void> | undefined): Promise<void> {
    this.problem = '';
    try {
      await work();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  #note(text: string): void {
    this.#log.add('note', text, Date.now());
    this.#show();
  }

  // A board may print a thousand lines a second: they are shown once per picture.
  #show(): void {
    if (this.#planned) return;
    this.#planned = true;
    const now = (): void => {
      this.#planned = false;
      this.lines = this.#log.list;
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(now);
    else setTimeout(now, 1000);
  }
}

export const monitor = new Monitor();
