// NOR flash behind the simulated chip: erased in sectors to 0xff, programmed by clearing bits. Not a file system.

import { createHash } from 'node:crypto';

export const SECTOR = 0x1000;

/** SPI flash of a power-of-two size. */
export class NorFlash {
  readonly bytes: Uint8Array;
  /** Bytes programmed since the start, for cables that come loose in the middle. */
  programmed = 0;
  #watch: ((programmed: number) => void) | undefined;

  constructor(size: number) {
    this.bytes = new Uint8Array(size).fill(0xff);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** What a JEDEC read of the identification answers: maker (Winbond), type, capacity as a power of two. */
  get id(): number {
    return 0xef | (0x40 << 8) | (Math.log2(this.size) << 16);
  }

  inside(address: number, length: number): boolean {
    return address >= 0 && length >= 0 && address + length <= this.size;
  }

  /** Erases the sectors that the range touches. */
  erase(address: number, length: number): void {
    const from = Math.floor(address / SECTOR) * SECTOR;
    this.bytes.fill(0xff, from, Math.min(this.size, Math.ceil((address + length) / SECTOR) * SECTOR));
  }

  /** Clears bits; what was not erased before becomes a mix of old and new, as on silicon. */
  program(address: number, data: Uint8Array): void {
    for (let i = 0; i < data.length; i++) this.bytes[address + i]! &= data[i]!;
    this.programmed += data.length;
    this.#watch?.(this.programmed);
  }

  read(address: number, length: number): Uint8Array {
    return this.bytes.slice(address, address + length);
  }

  md5(address: number, length: number): Uint8Array {
    return createHash('md5')
      .update(this.bytes.subarray(address, address + length))
      .digest();
  }

  /** Is told after every programming; one watcher at a time. */
  watch(hear: ((programmed: number) => void) | undefined): void {
    this.#watch = hear;
  }
}
