// Words for images: what people read beside digests and codes.

import type { Schemas } from '$/api/client';
import type { StateKind } from '$/ui/states';
import { count } from '$/util/format';

export type Firmware = Schemas['FirmwareView'];
export type Signature = Schemas['Signature'];

const CHIPS: Record<string, string> = {
  esp32: 'ESP32',
  esp32s2: 'ESP32-S2',
  esp32s3: 'ESP32-S3',
  esp32c2: 'ESP32-C2',
  esp32c3: 'ESP32-C3',
  esp32c5: 'ESP32-C5',
  esp32c6: 'ESP32-C6',
  esp32c61: 'ESP32-C61',
  esp32h2: 'ESP32-H2',
  esp32p4: 'ESP32-P4',
};

/** The chip as its maker writes it. */
export function chipName(chip: string): string {
  return CHIPS[chip] ?? chip;
}

/** The first digits of a digest: enough to tell images apart, short enough to read. */
export function short(digest: string): string {
  return digest.slice(0, 12);
}

/** How a signature is shown. */
export function signatureState(signature: Signature): { kind: StateKind; text: string } {
  switch (signature.state) {
    case 'trusted':
      return { kind: 'done', text: signature.key_name ? `Signed by ${signature.key_name}` : 'Signed' };
    case 'retired':
      return { kind: 'failed', text: 'Signed by a retired key' };
    default:
      return { kind: 'idle', text: 'Not signed' };
  }
}

const FACTS: [string, string, (value: unknown) => string][] = [
  ['min_chip_revision', 'Oldest chip revision', revision],
  ['max_chip_revision', 'Newest chip revision', revision],
  ['flash_megabytes', 'Flash', (value) => `${String(value)} MB`],
  ['flash_mode', 'Flash mode', (value) => String(value).toUpperCase()],
  ['flash_mhz', 'Flash clock', (value) => `${String(value)} MHz`],
  ['idf_version', 'ESP-IDF', String],
  ['built', 'Built', String],
];

function revision(value: unknown): string {
  const n = Number(value);
  return `v${Math.floor(n / 100)}.${n % 100}`;
}

/** What an image says of itself, as pairs of label and text; what it does not say is left out. */
export function factRows(facts: Record<string, unknown>): { label: string; text: string }[] {
  const rows = FACTS.filter(([key]) => facts[key] !== undefined && facts[key] !== null && facts[key] !== '').map(
    ([key, label, show]) => ({ label, text: show(facts[key]) }),
  );
  const boot = facts['secure_boot'] as { scheme?: string; blocks?: number } | undefined;
  if (boot)
    rows.push({ label: 'Secure Boot v2', text: `${boot.scheme ?? ''}, ${count(boot.blocks ?? 0, 'signature block')}` });
  return rows;
}

/** What a release holds: each project once, with its chips. */
export function contents(images: readonly { project: string; chip: string }[]): string {
  const chips = new Map<string, string[]>();
  for (const { project, chip } of images) chips.set(project, [...(chips.get(project) ?? []), chipName(chip)]);
  return [...chips].map(([project, names]) => `${project} for ${names.join(', ')}`).join('; ');
}

/** The images that are built together with one: the same project and version for other chips. */
export function siblings<T extends Pick<Firmware, 'project' | 'version' | 'chip' | 'installable'>>(
  one: T,
  all: readonly T[],
): T[] {
  const found = new Map<string, T>([[one.chip, one]]);
  for (const other of all) {
    const fits = other.installable && other.project === one.project && other.version === one.version;
    if (fits && !found.has(other.chip)) found.set(other.chip, other);
  }
  return [...found.values()];
}
