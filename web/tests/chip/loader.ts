// The serial protocol of the mask ROM's loader and of the stub that tools upload over it: packets in, packets out.
// Not the line (bytes, reset pins, baud rates: chip.ts) and not what runs from flash (app.ts).

import { inflateSync, constants } from 'node:zlib';
import { type NorFlash, SECTOR } from './flash';
import type { Model } from './models';
import type { Registers } from './registers';

const OP = {
  flashBegin: 0x02,
  flashData: 0x03,
  flashEnd: 0x04,
  memBegin: 0x05,
  memEnd: 0x06,
  memData: 0x07,
  sync: 0x08,
  writeReg: 0x09,
  readReg: 0x0a,
  setParams: 0x0b,
  attach: 0x0d,
  readSlow: 0x0e,
  baud: 0x0f,
  deflBegin: 0x10,
  deflData: 0x11,
  deflEnd: 0x12,
  md5: 0x13,
  security: 0x14,
  eraseFlash: 0xd0,
  eraseRegion: 0xd1,
  readFlash: 0xd2,
  run: 0xd3,
} as const;

/** Why a command failed: the ROM's number and the stub's. */
const ERROR = {
  message: [0x05, 0xc3],
  failed: [0x06, 0xc4],
  checksum: [0x07, 0xc1],
  inflate: [0x0b, 0xc7],
  mode: [0x06, 0xc6],
  tooMuch: [0x08, 0xc9],
  tooLittle: [0x08, 0xc8],
} as const;

type Answer = { value?: number; data?: Uint8Array };
class Refusal extends Error {
  readonly codes: readonly [number, number];
  constructor(why: keyof typeof ERROR) {
    super(why);
    this.codes = ERROR[why];
  }
}

/** A write that has begun. */
interface Writing {
  deflated: boolean;
  address: number;
  /** Bytes to come, uncompressed, where that is known. */
  size: number;
  blockSize: number;
  done: number;
  sequence: number;
  packed: Uint8Array[];
}

export interface Surroundings {
  model: Model;
  flash: NorFlash;
  registers: Registers;
  /** Sends one packet, unframed. */
  send: (packet: Uint8Array) => void;
  setBaud: (baud: number) => void;
  /** Leaves the loader and starts what is in flash. */
  start: () => void;
}

const checksum = (data: Uint8Array): number => data.reduce((sum, byte) => sum ^ byte, 0xef);
const words = (data: Uint8Array, count: number): number[] => {
  if (data.length < count * 4) throw new Refusal('message');
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: count }, (_, i) => view.getUint32(i * 4, true));
};

export class Loader {
  /** Whether the uploaded stub has taken over from the ROM. */
  stub = false;
  /** As burnt into the chip: bit 0 secure boot, bit 2 secure download; odd `crypt` encrypts the flash. */
  security = { flags: 0, crypt: 0 };

  #around: Surroundings;
  #attached = false;
  #memory: { at: number; size: number; done: number; blocks: number; sequence: number }[] = [];
  #writing: Writing | undefined;
  #reading: { from: number; size: number; block: number; window: number; sent: number; acked: number } | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Takes a packet from the host. */
  take(packet: Uint8Array): void {
    if (this.#reading) return this.#acknowledge(packet);
    if (packet.length < 8 || packet[0] !== 0) return;
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const op = packet[1]!;
    const data = packet.subarray(8, 8 + view.getUint16(2, true));
    if (op === OP.sync) return this.#sync(data);
    try {
      const after = this.#carryOut(op, data, view.getUint32(4, true));
      this.#reply(op, after.answer ?? {}, [0, 0]);
      after.then?.();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#reply(op, {}, [1, error.codes[this.stub ? 1 : 0]]);
    }
  }

  #reply(op: number, { value = 0, data = new Uint8Array() }: Answer, status: [number, number]): void {
    // The ROMs of these chips pad the two bytes of the status to four; the stub does not.
    const tail = this.stub ? 2 : 4;
    const out = new Uint8Array(8 + data.length + tail);
    const view = new DataView(out.buffer);
    out[0] = 1;
    out[1] = op;
    view.setUint16(2, data.length + tail, true);
    view.setUint32(4, value >>> 0, true);
    out.set(data, 8);
    out.set(status, 8 + data.length);
    this.#around.send(out);
  }

  #sync(data: Uint8Array): void {
    const pattern = [0x07, 0x07, 0x12, 0x20, ...Array<number>(32).fill(0x55)];
    if (data.length !== 36 || !pattern.every((byte, i) => data[i] === byte)) return;
    for (let i = 0; i < 8; i++) this.#reply(OP.sync, { value: this.stub ? 0 : 0x2012_0707 }, [0, 0]);
  }

  #carryOut(op: number, data: Uint8Array, sum: number): { answer?: Answer; then?: () => void } {
    const { registers, flash, setBaud, start } = this.#around;
    switch (op) {
      case OP.readReg:
        return { answer: { value: registers.read(words(data, 1)[0]!) } };
      case OP.writeReg:
        for (let at = 0; at < data.length; at += 16) {
          const [address, value, mask] = words(data.subarray(at), 4) as [number, number, number, number];
          registers.write(address, value, mask);
        }
        return {};
      case OP.security:
        return { answer: { data: this.#security() } };
      case OP.attach:
        this.#attached = true;
        return {};
      case OP.setParams:
        words(data, 6);
        return {};
      case OP.baud: {
        const [baud] = words(data, 2);
        return { then: () => setBaud(baud!) };
      }
      case OP.memBegin: {
        const [size, blocks, , at] = words(data, 4) as [number, number, number, number];
        const room = this.#around.model.ram.some(([from, to]) => at >= from && at + size <= to);
        if (this.stub || !room) throw new Refusal('failed');
        this.#memory.push({ at, size, blocks, done: 0, sequence: 0 });
        return {};
      }
      case OP.memData:
        this.#memoryBlock(data, sum);
        return {};
      case OP.memEnd:
        return this.#leaveMemory(data);
      case OP.flashBegin:
      case OP.deflBegin:
        this.#begin(op === OP.deflBegin, data);
        return {};
      case OP.flashData:
      case OP.deflData:
        this.#block(op === OP.deflData, data, sum);
        return {};
      case OP.flashEnd:
      case OP.deflEnd:
        return this.#end(words(data, 1)[0] === 0);
      case OP.md5: {
        const [address, size] = words(data, 2) as [number, number];
        this.#within(address, size);
        const digest = flash.md5(address, size);
        const hex = Buffer.from(digest).toString('hex');
        return { answer: { data: this.stub ? digest : new TextEncoder().encode(hex) } };
      }
      case OP.readSlow: {
        const [address, size] = words(data, 2) as [number, number];
        if (this.stub || size > 64) throw new Refusal('message');
        this.#within(address, size);
        const out = new Uint8Array(64);
        out.set(flash.read(address, size));
        return { answer: { data: out } };
      }
    }
    if (!this.stub) throw new Refusal('message');
    switch (op) {
      case OP.eraseFlash:
        flash.erase(0, flash.size);
        return {};
      case OP.eraseRegion: {
        const [address, size] = words(data, 2) as [number, number];
        if (address % SECTOR || size % SECTOR) throw new Refusal('failed');
        this.#within(address, size);
        flash.erase(address, size);
        return {};
      }
      case OP.readFlash: {
        const [from, size, block, window] = words(data, 4) as [number, number, number, number];
        this.#within(from, size);
        const then = (): void => {
          this.#reading = { from, size, block, window, sent: 0, acked: 0 };
          this.#pump();
        };
        return { then };
      }
      case OP.run:
        return { then: start };
      default:
        throw new Refusal('message');
    }
  }

  #security(): Uint8Array {
    const out = new Uint8Array(20);
    const view = new DataView(out.buffer);
    view.setUint32(0, this.security.flags, true);
    out[4] = this.security.crypt;
    view.setUint32(12, this.#around.model.chipId, true);
    view.setUint32(16, 3, true);
    return out;
  }

  #within(address: number, size: number): void {
    // Without its pins set up the ROM sees no flash; the stub sets them up itself.
    if (!this.stub && !this.#attached) throw new Refusal('failed');
    if (!this.#around.flash.inside(address, size)) throw new Refusal('failed');
  }

  #memoryBlock(data: Uint8Array, sum: number): void {
    const [size, sequence] = words(data, 4) as [number, number, number, number];
    const payload = data.subarray(16);
    const segment = this.#memory.at(-1);
    if (!segment || payload.length !== size || segment.sequence !== sequence) throw new Refusal('message');
    if (checksum(payload) !== (sum & 0xff)) throw new Refusal('checksum');
    segment.sequence++;
    segment.done += size;
    if (segment.done > segment.size || segment.sequence > segment.blocks) throw new Refusal('tooMuch');
  }

  #leaveMemory(data: Uint8Array): { then?: () => void } {
    const [stay, entry] = words(data, 2) as [number, number];
    if (stay) return {};
    const whole = this.#memory.every(({ size, done }) => size === done);
    const inside = this.#memory.some(({ at, size }) => entry >= at && entry < at + size);
    // What was not uploaded does not run, and so never says hello.
    if (!whole || !inside) return {};
    return {
      then: () => {
        this.stub = true;
        this.#memory = [];
        this.#around.send(new TextEncoder().encode('OHAI'));
      },
    };
  }

  #begin(deflated: boolean, data: Uint8Array): void {
    const [size, , blockSize, address] = words(data, 4) as [number, number, number, number];
    if (size === 0) {
      this.#writing = undefined;
      return;
    }
    this.#within(address, size);
    this.#around.flash.erase(address, size);
    this.#writing = { deflated, address, size, blockSize, done: 0, sequence: 0, packed: [] };
  }

  #block(deflated: boolean, data: Uint8Array, sum: number): void {
    const writing = this.#writing;
    if (!writing || writing.deflated !== deflated) throw new Refusal('mode');
    const [size, sequence] = words(data, 4) as [number, number, number, number];
    const payload = data.subarray(16);
    if (payload.length !== size || size > writing.blockSize) throw new Refusal('message');
    if (checksum(payload) !== (sum & 0xff)) throw new Refusal('checksum');
    // A block that is sent again because its answer was lost was written already.
    if (sequence === writing.sequence - 1) return;
    if (sequence !== writing.sequence) throw new Refusal('message');
    writing.sequence++;
    let plain = payload;
    if (deflated) {
      writing.packed.push(payload.slice());
      try {
        const all = inflateSync(Buffer.concat(writing.packed), { finishFlush: constants.Z_SYNC_FLUSH });
        plain = all.subarray(writing.done);
      } catch {
        throw new Refusal('inflate');
      }
    }
    // The last block of a plain write is filled up.
    const room = writing.size - writing.done;
    if (plain.length > room && (deflated || plain.subarray(room).some((byte) => byte !== 0xff))) {
      throw new Refusal('tooMuch');
    }
    this.#around.flash.program(writing.address + writing.done, plain.subarray(0, room));
    writing.done += Math.min(plain.length, room);
  }

  #end(reboot: boolean): { then?: () => void } {
    const writing = this.#writing;
    this.#writing = undefined;
    if (writing?.deflated && this.stub && writing.done < writing.size) throw new Refusal('tooLittle');
    return reboot ? { then: this.#around.start } : {};
  }

  /** Sends blocks until as many are on their way as the host allows; then the digest of all. */
  #pump(): void {
    const reading = this.#reading;
    if (!reading) return;
    const { flash, send } = this.#around;
    while (reading.sent < reading.size && reading.sent - reading.acked < reading.window * reading.block) {
      const length = Math.min(reading.block, reading.size - reading.sent);
      const block = flash.read(reading.from + reading.sent, length);
      reading.sent += length;
      send(block);
      if (this.#reading !== reading) return;
    }
    if (reading.acked < reading.size) return;
    this.#reading = undefined;
    send(flash.md5(reading.from, reading.size));
  }

  #acknowledge(packet: Uint8Array): void {
    if (!this.#reading || packet.length !== 4) return;
    this.#reading.acked = words(packet, 1)[0]!;
    this.#pump();
  }
}
