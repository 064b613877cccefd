// The boards whose pins the firmware knows by name. `cargo xtask gen` writes boards.json from the firmware's own table.

import list from './boards.json';

export interface Pin {
  gpio: number;
  role: string;
  /** What the board calls it, where it has several of a kind. */
  key?: string;
  inverted?: boolean;
}

export interface Profile {
  name: string;
  chip: string;
  pins: readonly Pin[];
}

export const BOARDS: readonly Profile[] = list;

/** Of each role: what it belongs to, how several of those are called, and what this very pin is. */
const ROLES: Record<string, { part: string; many?: string; pin?: string }> = {
  led: { part: 'LED' },
  external_led: { part: 'second LED' },
  button: { part: 'button' },
  trigger: { part: 'trigger button' },
  relay: { part: 'switch', many: 'switches' },
  pwm: { part: 'dimmer', many: 'dimmers' },
  dht22: { part: 'DHT22' },
  i2c_sda: { part: 'I2C bus', pin: 'I2C data' },
  i2c_scl: { part: 'I2C bus', pin: 'I2C clock' },
  pir: { part: 'motion sensor' },
  nfc_irq: { part: 'NFC reader', pin: 'NFC reader, interrupt' },
  epd_cs: { part: 'e-ink display', pin: 'display, select' },
  epd_sck: { part: 'e-ink display', pin: 'display, clock' },
  epd_mosi: { part: 'e-ink display', pin: 'display, data' },
  epd_dc: { part: 'e-ink display', pin: 'display, data or command' },
  epd_rst: { part: 'e-ink display', pin: 'display, reset' },
  epd_busy: { part: 'e-ink display', pin: 'display, busy' },
  epd_power: { part: 'e-ink display', pin: 'display, power' },
};

const words = (role: string): { part: string; many?: string; pin?: string } =>
  ROLES[role] ?? { part: role.replaceAll('_', ' ') };

/** Whether people have words for a role; the others are shown as they are. */
export function isKnown(role: string): boolean {
  return role in ROLES;
}

/** The boards with a chip: its development board first. */
export function profiles(chip: string): Profile[] {
  const plain = ({ name }: Profile): number => Number(name.endsWith('-devkit'));
  return BOARDS.filter((one) => one.chip === chip).sort((a, b) => plain(b) - plain(a));
}

/** The board that a variant of the firmware is made for, where there is one; else the usual one of its chip, if any. */
export function profileFor({ chip, variant }: { chip: string; variant: string }): Profile | undefined {
  const all = profiles(chip);
  return all.find(({ name }) => name.endsWith(`-${variant}`)) ?? all[0];
}

/** What a board has, in a few words: "LED, button, 5 switches (v0 to v4), DHT22". */
export function has({ pins }: Profile): string {
  const parts = new Map<string, Pin[]>();
  for (const pin of pins) {
    const { part } = words(pin.role);
    parts.set(part, [...(parts.get(part) ?? []), pin]);
  }
  return [...parts]
    .map(([part, of]) => {
      const { many } = words(of[0]!.role);
      const keys = of.map(({ key }) => key).filter((key) => key !== undefined);
      if (!keys.length) return part;
      const named = keys.length > 2 ? `${keys[0]} to ${keys.at(-1)}` : keys.join(' and ');
      return `${keys.length > 1 && many ? `${keys.length} ${many}` : part} (${named})`;
    })
    .join(', ');
}

/** Each pin of a board and what is on it, in the order of their numbers. */
export function pinRows({ pins }: Profile): { gpio: number; text: string }[] {
  return [...pins]
    .sort((a, b) => a.gpio - b.gpio)
    .map(({ gpio, role, key, inverted }) => {
      const { part, pin } = words(role);
      return { gpio, text: `${pin ?? part}${key ? ` ${key}` : ''}${inverted ? ', on when low' : ''}` };
    });
}
