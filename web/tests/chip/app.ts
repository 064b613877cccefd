// What starts from the simulated flash: the way a bootloader looks for it, and a board that lives by the settings it finds.
// It executes no instruction; it reads the same bytes as the real bootloader and the real firmware.

import type { NorFlash } from './flash';
import type { Model } from './models';

const IMAGE_MAGIC = 0xe9;
const PARTITION_MAGIC = 0x50aa;
const TABLE = 0x8000;
const RECORD_MAGIC = 'ESR1';

export interface Partition {
  name: string;
  type: number;
  subtype: number;
  offset: number;
  size: number;
}

/** The members of the settings that a board cannot do without, and the others as they came. */
export interface BoardSettings {
  v: number;
  name: string;
  server: string;
  device: string;
  token: string;
  networks: { ssid: string; password: string }[];
  portal: string;
  profile: string;
  [other: string]: unknown;
}

export type Start =
  { kind: 'nothing'; lines: string[] } | { kind: 'app'; lines: string[]; settings: BoardSettings | undefined };

const view = (flash: NorFlash): DataView => new DataView(flash.bytes.buffer);

function table(flash: NorFlash): Partition[] {
  const found: Partition[] = [];
  for (let at = TABLE; at < TABLE + 0xc00; at += 32) {
    if (view(flash).getUint16(at, true) !== PARTITION_MAGIC) break;
    const [type, subtype] = flash.read(at + 2, 2) as unknown as [number, number];
    const [offset, size] = [view(flash).getUint32(at + 4, true), view(flash).getUint32(at + 8, true)];
    const name = new TextDecoder().decode(flash.read(at + 12, 16)).replace(/\0.*$/, '');
    found.push({ name, type, subtype, offset, size });
  }
  return found;
}

/** CRC-32 (IEEE), written bit by bit: slow, and not the encoder's own. */
function crc32(data: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

/** The record in one sector, when it is whole. */
function record(flash: NorFlash, at: number): { generation: number; payload: Uint8Array } | undefined {
  if (new TextDecoder().decode(flash.read(at, 4)) !== RECORD_MAGIC) return undefined;
  const [generation, length, crc] = [4, 8, 12].map((off) => view(flash).getUint32(at + off, true)) as [
    number,
    number,
    number,
  ];
  if (length > 0x1000 - 16) return undefined;
  const payload = flash.read(at + 16, length);
  if (crc32(Buffer.concat([flash.read(at + 4, 8), payload])) !== crc) return undefined;
  return { generation, payload };
}

/** The settings of the partition `espalier`: of two whole records the newer one. */
export function settings(flash: NorFlash): BoardSettings | undefined {
  const region = table(flash).find((one) => one.name === 'espalier');
  if (!region) return undefined;
  const newest = [record(flash, region.offset), record(flash, region.offset + 0x1000)]
    .filter((one) => one !== undefined)
    .sort((a, b) => b.generation - a.generation)[0];
  return newest && (JSON.parse(new TextDecoder().decode(newest.payload)) as BoardSettings);
}

/** What happens after a reset without BOOT: the lines that are printed, and whether an app runs. */
export function start(flash: NorFlash, model: Model): Start {
  const lines = [`rst:0x1 (POWERON),boot:${model.strap.flash}`];
  if (flash.bytes[0] !== IMAGE_MAGIC) {
    const word = view(flash).getUint32(0, true).toString(16).padStart(8, '0');
    return { kind: 'nothing', lines: [...lines, ...Array<string>(3).fill(`invalid header: 0x${word}`)] };
  }
  lines.push('\x1b[0;32mI (24) boot: ESP-IDF 2nd stage bootloader\x1b[0m');
  const partitions = table(flash);
  for (const { name, offset, size } of partitions) {
    lines.push(`I (48) boot: ${name} ${offset.toString(16).padStart(8, '0')} ${size.toString(16).padStart(8, '0')}`);
  }
  const slots = partitions.filter(({ type, subtype }) => type === 0 && subtype >= 0x10);
  const app = slots.find(({ offset }) => flash.bytes[offset] === IMAGE_MAGIC);
  if (!app) return { kind: 'nothing', lines: [...lines, '\x1b[0;31mE (60) boot: No bootable app partitions\x1b[0m'] };
  if (view(flash).getUint16(app.offset + 12, true) !== model.chipId) {
    return { kind: 'nothing', lines: [...lines, '\x1b[0;31mE (60) boot: mismatch chip ID\x1b[0m'] };
  }
  lines.push(`I (70) boot: Loaded app from partition at offset 0x${app.offset.toString(16)}`);
  const found = settings(flash);
  lines.push(found ? `I (120) espalier: ${found.name}, ${found.profile}` : 'W (120) espalier: no settings yet');
  return { kind: 'app', lines, settings: found };
}
