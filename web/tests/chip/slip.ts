// SLIP (RFC 1055) as the ROM loader frames its packets: 0xc0 around, 0xdb escapes. Not a serial port.

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

/** One packet as it goes over the line. */
export function frame(packet: Uint8Array): Uint8Array {
  const out = [END];
  for (const byte of packet) {
    if (byte === END) out.push(ESC, ESC_END);
    else if (byte === ESC) out.push(ESC, ESC_ESC);
    else out.push(byte);
  }
  out.push(END);
  return Uint8Array.from(out);
}

/** Takes bytes as they come and gives whole packets; what is no packet is thrown away, as the ROM does. */
export class Unframer {
  #packet: number[] | undefined;
  #escaped = false;

  /** The packets that these bytes complete. */
  push(bytes: Uint8Array): Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (const byte of bytes) {
      if (byte === END) {
        if (this.#packet?.length) {
          packets.push(Uint8Array.from(this.#packet));
          this.#packet = undefined;
        } else {
          this.#packet = [];
        }
        this.#escaped = false;
      } else if (!this.#packet) {
        continue;
      } else if (this.#escaped) {
        this.#escaped = false;
        if (byte === ESC_END) this.#packet.push(END);
        else if (byte === ESC_ESC) this.#packet.push(ESC);
        else this.#packet = undefined;
      } else if (byte === ESC) {
        this.#escaped = true;
      } else {
        this.#packet.push(byte);
      }
    }
    return packets;
  }

  reset(): void {
    this.#packet = undefined;
    this.#escaped = false;
  }
}
