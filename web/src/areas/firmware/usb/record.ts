// The settings of a board as the bytes that its firmware reads: a JSON object in a record with a checksum, at the beginning of a
// sector of flash. What the members mean is the firmware's business; that both agree on the bytes is shown by a test
// against the same file.

export interface Network {
  ssid: string;
  password: string;
}

export interface Settings {
  name: string;
  /** Where the server is, `http(s)://host[:port]`. */
  server: string;
  device: string;
  token: string;
  networks: Network[];
  /** What opens the board's own network when it finds none of those, 8 to 63 characters. */
  portal: string;
  profile: string;
  /** The authority that signs the server's certificate: DER in base64. */
  ca?: string;
  /** Public keys whose signatures count, hexadecimal. */
  keys: string[];
  /** POSIX time zone. */
  tz?: string;
}

export const SECTOR = 0x1000;
const HEADER = 16;
export const MAX_PAYLOAD = 2048;
const MAGIC = 'ESR1';
const VERSION = 1;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** CRC-32 as Ethernet and zip have it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The settings as the firmware's JSON, members in a fixed order; what is not set is left out. */
export function payload(settings: Settings): Uint8Array {
  const { name, server, device, token, networks, portal, profile, ca, keys, tz } = settings;
  const json = {
    v: VERSION,
    name,
    server,
    device,
    token,
    networks: networks.map(({ ssid, password }) => ({ ssid, password })),
    portal,
    profile,
    ...(ca ? { ca } : {}),
    keys,
    ...(tz ? { tz } : {}),
  };
  return new TextEncoder().encode(JSON.stringify(json));
}

/** One sector with a record. Throws when the payload is longer than firmware reads. */
export function sector(body: Uint8Array, generation: number): Uint8Array {
  if (body.length > MAX_PAYLOAD) {
    throw new RangeError(
      `These settings need ${body.length} bytes, and a board keeps ${MAX_PAYLOAD}: shorten names, or leave out networks or keys.`,
    );
  }
  const out = new Uint8Array(SECTOR).fill(0xff);
  const view = new DataView(out.buffer);
  out.set(new TextEncoder().encode(MAGIC));
  view.setUint32(4, generation, true);
  view.setUint32(8, body.length, true);
  out.set(body, HEADER);
  // Over generation, length and payload: they lie together but for the checksum between them.
  const covered = new Uint8Array(8 + body.length);
  covered.set(out.subarray(4, 12));
  covered.set(body, 8);
  view.setUint32(12, crc32(covered), true);
  return out;
}

/**
 * The whole region of a board that begins anew: the settings, and nothing else. What an earlier firmware kept there (values
 * that were not sent, an update half done, keys) belongs to another device and is erased.
 */
export function region(settings: Settings, size: number): Uint8Array {
  const out = new Uint8Array(size).fill(0xff);
  out.set(sector(payload(settings), 1));
  return out;
}
