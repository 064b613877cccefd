// A board in its loader: who it is, what is in its flash, and what is written there. Loaded with esptool-js when somebody
// connects a board; the pages know it only through its types.

import { ESPLoader, type IEspLoaderTerminal } from 'esptool-js';
import { failure, UsbFailure } from './failure';
import { Line } from './line';
import type { Link } from './link';
import { hex, md5 } from './md5';

/** What the loader starts with, and what bridges can do on a bad cable. */
const ROM_BAUD = 115_200;
const BAUD = 460_800;
/** Resets that are tried before a person is asked to press BOOT. */
const ATTEMPTS = 4;

/** Read and written at once, bytes: a read is checked, and a write is waited for, piece by piece. */
const PIECE = 0x40000;
/** What erasing and programming a piece takes on the slowest flash. */
const WRITE_TIMEOUT_MS = 12_000;
const READ_FLASH = 0xd2;
/** A packet of a read, and how many may be on their way. */
const PACKET = 0x1000;
const WINDOW = 64;
const READ_TIMEOUT_MS = 5_000;

const SECURE_BOOT = 1 << 0;
const SECURE_DOWNLOAD = 1 << 2;

/** What a board says of itself. */
export interface Facts {
  /** As its maker writes it, e.g. `ESP32-C3`. */
  chip: string;
  /** With package and revision. */
  description: string;
  mac: string;
  /** Bytes of flash. */
  flash: number;
}

/** Something to write, and where. */
export interface Piece {
  name: string;
  offset: number;
  data: Uint8Array;
}

/** Bytes done of all bytes. */
export type Progress = (done: number, total: number) => void;

// Nothing of what the library tells is kept: it is for developers, and the flash holds passwords.
const silent: IEspLoaderTerminal = { clean: () => {}, write: () => {}, writeLine: () => {} };

const HELLO = 'OHAI';
const START_TIMEOUT_MS = 3_000;

/**
 * The library gives the ROM 200 ms to acknowledge that it starts the stub, and fails when a busy computer takes longer, or the
 * ROM starts without a word. What counts is the stub's hello.
 */
class Loader extends ESPLoader {
  override async memFinish(entry: number): Promise<void> {
    const line = this.transport as Line;
    const start = new Uint8Array(8);
    const view = new DataView(start.buffer);
    view.setUint32(0, entry === 0 ? 1 : 0, true);
    view.setUint32(4, entry, true);
    await this.command(this.ESP_MEM_END, start, 0, false);
    for (const end = Date.now() + START_TIMEOUT_MS; ;) {
      const packet = await line.read(end - Date.now());
      if (String.fromCharCode(...packet) !== HELLO) continue;
      return line.unread(packet);
    }
  }
}

export class Board {
  readonly facts: Facts;
  readonly link: Link;
  #loader: ESPLoader;
  #line: Line;

  private constructor(link: Link, line: Line, loader: ESPLoader, facts: Facts) {
    this.link = link;
    this.#line = line;
    this.#loader = loader;
    this.facts = facts;
  }

  /** Resets the board into its loader and asks who it is. Throws a `UsbFailure`; the link is closed then. */
  static async connect(link: Link): Promise<Board> {
    const line = new Line(link);
    const loader = new Loader({
      transport: line,
      // The chip's own USB controller knows no baud rate; opening it again would only cost time.
      baudrate: link.native ? ROM_BAUD : BAUD,
      romBaudrate: ROM_BAUD,
      terminal: silent,
    });
    try {
      await line.connect(ROM_BAUD);
      await reach(loader, line);
      await refuseLocked(loader);
      const description = await loader.chip.getChipDescription(loader);
      const mac = await loader.chip.readMac(loader);
      await loader.runStub();
      if (!link.native && line.baudrate !== BAUD) await loader.changeBaud();
      const flash = await flashSize(loader);
      return new Board(link, line, loader, { chip: loader.chip.CHIP_NAME, description, mac: mac.toUpperCase(), flash });
    } catch (error) {
      const told = explain(error, link);
      // It shall not wait in its loader for somebody who does not come.
      if (link.isOpen && !link.lost) await link.restart().catch(() => undefined);
      await link.close();
      throw told;
    }
  }

  /** Reads flash, checked piece by piece. Throws a `UsbFailure`. */
  async read(offset: number, size: number, progress: Progress): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(size);
    return this.#do(async () => {
      for (let at = 0; at < size; at += PIECE) {
        const length = Math.min(PIECE, size - at);
        await this.#readPiece(offset + at, out.subarray(at, at + length), (done) => progress(at + done, size));
      }
      return out;
    });
  }

  async #readPiece(offset: number, out: Uint8Array, progress: (done: number) => void): Promise<void> {
    const ask = new Uint8Array(16);
    const view = new DataView(ask.buffer);
    [offset, out.length, PACKET, WINDOW].forEach((word, i) => view.setUint32(i * 4, word, true));
    await this.#loader.checkCommand('read flash', READ_FLASH, ask);
    for (let done = 0; done < out.length;) {
      const packet = await this.#line.read(READ_TIMEOUT_MS);
      if (done + packet.length > out.length) throw new Error('The board sent more than was asked for.');
      out.set(packet, done);
      done += packet.length;
      const answer = new Uint8Array(4);
      new DataView(answer.buffer).setUint32(0, done, true);
      await this.#line.write(answer);
      progress(done);
    }
    const digest = hex(await this.#line.read(READ_TIMEOUT_MS));
    if (digest !== md5(out))
      throw new UsbFailure('differs', 'What was read differs from what is in flash. Try again with another cable.');
  }

  /** Writes one piece; what lay in its sectors is erased. Throws a `UsbFailure`. */
  async write({ offset, data }: Piece, progress: Progress): Promise<void> {
    const bytes = padded(data);
    await this.#do(async () => {
      for (let at = 0; at < bytes.length; at += PIECE) {
        const part = bytes.subarray(at, at + PIECE);
        await this.#writePart(offset + at, part, (done) => progress(at + done, bytes.length));
      }
    });
  }

  // The library's own `writeFlash` counts what it sends by inflating it again byte by byte, which takes longer than the board.
  async #writePart(offset: number, part: Uint8Array<ArrayBuffer>, progress: (done: number) => void): Promise<void> {
    const loader = this.#loader;
    const packed = await deflated(part);
    await loader.flashDeflBegin(part.length, packed.length, offset);
    const block = loader.FLASH_WRITE_SIZE;
    for (let at = 0; at < packed.length; at += block) {
      await loader.flashDeflBlock(packed.subarray(at, at + block), at / block, WRITE_TIMEOUT_MS);
      progress((part.length * Math.min(at + block, packed.length)) / packed.length);
    }
    await loader.flashDeflFinish(false, WRITE_TIMEOUT_MS);
  }

  /** Lets the board compute the digest of what it has and compares. Throws a `UsbFailure`. */
  async verify({ name, offset, data }: Piece): Promise<void> {
    const bytes = padded(data);
    const found = await this.#do(() => this.#loader.flashMd5sum(offset, bytes.length));
    if (found !== md5(bytes)) {
      throw new UsbFailure(
        'differs',
        `The board’s flash does not hold what was written (${name}). Write again; when it happens once more, try another cable, or the flash is worn out.`,
      );
    }
  }

  /** Starts what is in flash; the link stays open, at the speed at which firmware prints. */
  async restart(): Promise<void> {
    await this.#do(async () => {
      if (!this.link.native) await this.#line.changeBaudrate(ROM_BAUD);
      await this.link.restart();
    });
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explain(error, this.link);
    }
  }
}

/** The library writes whole words. */
function padded(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil(data.length / 4) * 4).fill(0xff);
  out.set(data);
  return out;
}

/** As zlib packs it: what the stub unpacks. */
async function deflated(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const packed = new Blob([data]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** Says in our words what went wrong. */
function explain(error: unknown, link: Link): UsbFailure {
  if (link.lost) return failure('lost');
  if (error instanceof UsbFailure) return error;
  return new UsbFailure(
    'protocol',
    'The board stopped answering. Unplug it, plug it in again, and try once more; another cable or USB socket often helps.',
  );
}

async function reach(loader: ESPLoader, line: Line): Promise<void> {
  const { link } = line;
  try {
    await loader.connect('default_reset', ATTEMPTS).catch(async (error: unknown) => {
      if (link.lost || link.native || isUnknown(error)) throw error;
      // A board that cannot be reset from here may still run the stub of last time, at its speed.
      await line.changeBaudrate(BAUD);
      await loader.connect('no_reset', 1);
    });
  } catch (error) {
    if (link.lost || error instanceof UsbFailure) throw error;
    if (!isUnknown(error)) throw failure('silent');
    throw new UsbFailure(
      'wrong-chip',
      'This chip is unknown here. Espalier’s firmware is for the ESP32-C3 and ESP32-C6.',
    );
  }
}

/** The library's words for a chip that it does not know. */
function isUnknown(error: unknown): boolean {
  return error instanceof Error && /^Unexpected chip/i.test(error.message);
}

/** A chip that was locked would not start what is written, or could not be read. */
async function refuseLocked(loader: ESPLoader): Promise<void> {
  // The oldest chips do not tell, and no kit is for them.
  const security = await loader.getSecurityInfo().catch(() => undefined);
  if (!security) return;
  const ones = security.flashCryptCnt.toString(2).replaceAll('0', '').length;
  const why =
    security.flags & SECURE_DOWNLOAD
      ? 'its maker closed its loader'
      : security.flags & SECURE_BOOT
        ? 'it only starts firmware that its maker signed'
        : ones % 2
          ? 'its flash is encrypted'
          : '';
  if (why) throw new UsbFailure('locked', `This board is locked for good: ${why}. Take another board.`);
}

async function flashSize(loader: ESPLoader): Promise<number> {
  const id = await loader.readFlashId();
  const name = loader.DETECTED_FLASH_SIZES[(id >>> 16) & 0xff];
  const size = name ? loader.flashSizeBytes(name as Parameters<ESPLoader['flashSizeBytes']>[0]) : 0;
  if (!size) throw failure('no-flash');
  return size;
}
