// What a person enters for a board, and what of it would not work. Nothing of it goes anywhere but to the board.

import { MAX_PAYLOAD, payload, type Network, type Settings } from './record';

export const MOST_NETWORKS = 4;
/** The largest certificate that a board keeps, bytes. */
const MAX_CA = 1024;
/** The longest address of a server and name of a board that firmware keeps, bytes. */
const MAX_SERVER = 128;
const MAX_NAME = 64;
/** How DER says that a key is on the curve P-256. */
const P256 = '\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07';

export interface Form {
  name: string;
  server: string;
  networks: Network[];
  /** The certificate that is believed, as PEM or base64; for https only. */
  ca: string;
}

const size = (text: string): number => new TextEncoder().encode(text).length;

/** What is wrong, by field: `name`, `server`, `ca`, `ssid0`, `password0`, … */
export function check(form: Form, fresh: boolean): Record<string, string> {
  const wrong: Record<string, string> = {};
  if (fresh) {
    if (!form.name.trim()) wrong.name = 'Give it a name, for example where it stands.';
    else if ([...form.name.trim()].length > 100) wrong.name = 'At most 100 characters.';
  }
  const server = origin(form.server);
  if (!server || size(server) > MAX_SERVER)
    wrong.server = 'Enter an address like https://farm.example or http://192.168.1.20:8000.';
  form.networks.forEach(({ ssid, password }, i) => {
    if (!ssid) wrong[`ssid${i}`] = 'Enter the name of the Wi-Fi network.';
    else if (size(ssid) > 32) wrong[`ssid${i}`] = 'At most 32 bytes, as in every Wi-Fi network.';
    const key = size(password);
    if (key > 0 && (key < 8 || key > 63) && !/^[0-9a-f]{64}$/i.test(password)) {
      wrong[`password${i}`] = 'Wi-Fi passwords have 8 to 63 characters. Leave it empty for an open network.';
    }
  });
  if (server?.startsWith('https:')) {
    const ca = certificate(form.ca);
    if (!form.ca.trim()) {
      wrong.ca = 'Over https a board believes nobody but the certificate that you give it: choose it here.';
    } else if (!ca) {
      wrong.ca = `Choose one certificate (PEM), of at most ${MAX_CA} bytes without its wrapping.`;
    } else if (!atob(ca).includes(P256)) {
      wrong.ca = 'The firmware knows keys on the curve P-256 only; this certificate has another one.';
    }
  }
  return wrong;
}

/** The origin of an address; nothing when boards could not use it. */
export function origin(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return undefined;
  }
  const plain = ['', '/'].includes(url.pathname) && !url.search && !url.hash && !url.username && !url.password;
  return plain && /^https?:$/.test(url.protocol) ? url.origin : undefined;
}

/** A certificate's DER in base64, out of PEM or base64; nothing when it is none, or several, or too large. */
export function certificate(text: string): string | undefined {
  const blocks = [...text.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g)];
  if (blocks.length > 1) return undefined;
  const base64 = (blocks[0]?.[1] ?? text).replace(/\s/g, '');
  let der: string;
  try {
    der = atob(base64);
  } catch {
    return undefined;
  }
  // DER of a certificate is a sequence whose length is all there is.
  const long = der.length >= 4 && der.charCodeAt(0) === 0x30 && der.charCodeAt(1) === 0x82;
  const length = long ? (der.charCodeAt(2) << 8) + der.charCodeAt(3) + 4 : -1;
  return length === der.length && der.length <= MAX_CA ? btoa(der) : undefined;
}

// Without letters and digits that look like others.
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';

/** A password for the board's own network: 12 of 32 characters, 60 bits, in groups for reading aloud. */
export function portalPassword(): string {
  const letters = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => ALPHABET[byte % ALPHABET.length]);
  return [0, 4, 8].map((at) => letters.slice(at, at + 4).join('')).join('-');
}

/** A name as firmware keeps it: whole letters, as many as fit. */
export function boardName(name: string): string {
  let short = '';
  for (const letter of name) {
    if (size(short + letter) > MAX_NAME) break;
    short += letter;
  }
  return short;
}

/** A public key's file as hexadecimal digits; nothing when it is none. */
export function keyDigits(file: string): string | undefined {
  const base64 = /^key:(\S+)$/m.exec(file)?.[1];
  if (!base64) return undefined;
  const raw = atob(base64);
  return raw.length === 32
    ? Array.from(raw, (one) => one.charCodeAt(0).toString(16).padStart(2, '0')).join('')
    : undefined;
}

/** Why settings would not fit into a board; empty when they do. */
export function tooLong(settings: Settings): string {
  const length = payload(settings).length;
  return length > MAX_PAYLOAD
    ? `These settings need ${length} bytes, and a board keeps ${MAX_PAYLOAD}. Leave out a network or the certificate, or retire keys that sign nothing any more.`
    : '';
}
