// Kits of the server's library: which fits a board, and their files, checked.

import type { Schemas } from '$/api/client';
import { UsbFailure } from './failure';
import type { Facts, Piece } from './board';
import { hex } from './md5';
import { region, type Settings } from './record';

export type Kit = Schemas['KitView'];

/** What people pick: "base for ESP32-C3". */
export function kitName({ variant, chip }: Pick<Kit, 'variant' | 'chip'>): string {
  return `${variant} for ${chip}`;
}

/** Why a kit is not for a board, in a sentence; nothing when it is. */
export function misfit(kit: Kit, facts: Facts): UsbFailure | undefined {
  if (facts.chip !== kit.chip) {
    return new UsbFailure(
      'wrong-chip',
      `This board has an ${facts.chip}, and the firmware is for the ${kit.chip}: it would not start. Choose firmware for the ${facts.chip}, or connect another board.`,
    );
  }
  if (facts.flash < kit.flash_size) {
    return new UsbFailure(
      'small-flash',
      `This board has ${megabytes(facts.flash)} of flash, and the firmware needs ${megabytes(kit.flash_size)}. Take a board with more flash.`,
    );
  }
  return undefined;
}

/** Flash is sold in powers of two. */
export function megabytes(bytes: number): string {
  return bytes >= 0x100000 ? `${bytes / 0x100000} MB` : `${bytes / 1024} kB`;
}

/** Of kits for the same thing the newest, by variant; kits for one's chip first. */
export function choices(kits: readonly Kit[], chip?: string): Kit[] {
  return [...kits].sort(
    (a, b) =>
      Number(b.chip === chip) - Number(a.chip === chip) ||
      a.variant.localeCompare(b.variant) ||
      a.chip.localeCompare(b.chip) ||
      Date.parse(b.created_at) - Date.parse(a.created_at),
  );
}

/** Compares a file that came with what the kit says of it. Throws a `UsbFailure`. */
export async function checked({ name, offset, size, sha256 }: Kit['parts'][number], file: ArrayBuffer): Promise<Piece> {
  const data = new Uint8Array(file);
  const digest = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', data)));
  if (digest === sha256 && data.length === size) return { name, offset, data };
  throw new UsbFailure(
    'damaged-kit',
    `The ${name} that came from the server is damaged. Load this page again; if it stays so, import the kit anew on the server.`,
  );
}

/**
 * Everything that is written, in the order in which it is: the bootloader comes last, so that a board whose cable is
 * pulled in the middle starts nothing half written.
 */
export function pieces(kit: Kit, parts: readonly Piece[], settings: Settings): Piece[] {
  const named = (name: string): Piece[] => parts.filter((one) => one.name === name);
  const known = ['app', 'partitions', 'bootloader'];
  return [
    ...named('app'),
    ...parts.filter(({ name }) => !known.includes(name)),
    { name: 'settings', offset: kit.settings.offset, data: region(settings, kit.settings.size) },
    // Blank: the board starts the app of the kit, whatever it had chosen before.
    { name: 'choice of app', offset: kit.otadata.offset, data: new Uint8Array(kit.otadata.size).fill(0xff) },
    ...named('partitions'),
    ...named('bootloader'),
  ];
}
