// The registers that flashing tools look at: chip magic, eFuse block 1, and the SPI controller with a flash behind it.

import type { NorFlash } from './flash';
import type { Model } from './models';

const MAGIC = 0x4000_1000;
const USR = 0x18;
const USR2 = 0x20;
const MISO_DLEN = 0x28;
const W0 = 0x58;
const START = 1 << 18;
const READ_ID = 0x9f;
const READ_STATUS = 0x05;

export class Registers {
  #words = new Map<number, number>();
  #model: Model;
  #flash: NorFlash;

  constructor(model: Model, flash: NorFlash, mac: readonly number[]) {
    this.#model = model;
    this.#flash = flash;
    const [a, b, c, d, e, f] = mac as [number, number, number, number, number, number];
    this.#words.set(MAGIC, model.magic);
    this.#words.set(model.efuse, ((c << 24) | (d << 16) | (e << 8) | f) >>> 0);
    this.#words.set(model.efuse + 4, (a << 8) | b);
    // Revision v0.4 for the C3; the C6 keeps its own elsewhere and reads as v0.0.
    if (model.name === 'ESP32-C3') this.#words.set(model.efuse + 12, 4 << 18);
  }

  read(address: number): number {
    return this.#words.get(address) ?? 0;
  }

  write(address: number, value: number, mask: number): void {
    const next = ((this.read(address) & ~mask) | (value & mask)) >>> 0;
    this.#words.set(address, next);
    if (address === this.#model.spi && next & START) this.#command();
  }

  /** Carries out what the SPI registers describe; the start bit clears itself. */
  #command(): void {
    const at = (offset: number): number => this.read(this.#model.spi + offset);
    const bits = at(USR) & (1 << 28) ? at(MISO_DLEN) + 1 : 0;
    const answer = { [READ_ID]: this.#flash.id, [READ_STATUS]: 0 }[at(USR2) & 0xff] ?? 0;
    const mask = bits >= 32 ? 0xffff_ffff : 2 ** bits - 1;
    this.#words.set(this.#model.spi + W0, (answer & mask) >>> 0);
    this.#words.set(this.#model.spi, 0);
  }
}
