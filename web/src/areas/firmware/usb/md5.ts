// MD5 (RFC 1321), which the loader of every ESP32 computes over its flash and browsers do not offer. It finds a bit that was
// written wrong; it proves nothing about who made the bytes.

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Uint32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

/** The digest of some bytes, as 32 hexadecimal digits. */
export function md5(data: Uint8Array): string {
  const length = Math.ceil((data.length + 9) / 64) * 64;
  const padded = new Uint8Array(length);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(length - 8, (data.length * 8) >>> 0, true);
  view.setUint32(length - 4, Math.floor(data.length / 2 ** 29), true);

  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  const block = new Uint32Array(16);
  for (let at = 0; at < length; at += 64) {
    for (let i = 0; i < 16; i++) block[i] = view.getUint32(at + i * 4, true);
    round(state, block);
  }
  const digest = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => digest.setUint32(i * 4, word, true));
  return hex(new Uint8Array(digest.buffer));
}

function round(state: Uint32Array, block: Uint32Array): void {
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  for (let i = 0; i < 64; i++) {
    let mixed: number;
    let from: number;
    if (i < 16) {
      mixed = (b & c) | (~b & d);
      from = i;
    } else if (i < 32) {
      mixed = (d & b) | (~d & c);
      from = (5 * i + 1) % 16;
    } else if (i < 48) {
      mixed = b ^ c ^ d;
      from = (3 * i + 5) % 16;
    } else {
      mixed = c ^ (b | ~d);
      from = (7 * i) % 16;
    }
    const sum = (a + mixed + SINES[i]! + block[from]!) | 0;
    const shift = SHIFTS[(i >> 4) * 4 + (i % 4)]!;
    [a, d, c, b] = [d, c, b, (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0];
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
