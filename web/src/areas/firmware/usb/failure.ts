// What can go wrong between a browser and a board, each with a sentence that says what to do. Not the server's refusals.

export type Trouble =
  | 'no-serial'
  | 'insecure'
  | 'not-chosen'
  | 'blocked'
  | 'busy'
  | 'silent'
  | 'wrong-chip'
  | 'small-flash'
  | 'no-flash'
  | 'locked'
  | 'lost'
  | 'differs'
  | 'damaged-kit'
  | 'protocol';

/** Something that did not work over USB. `message` is for people and says what to do. */
export class UsbFailure extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble, message: string) {
    super(message);
    this.name = 'UsbFailure';
    this.trouble = trouble;
  }
}

export const SENTENCES = {
  'no-serial': 'This browser cannot speak with a board over USB. Open this page in Chrome or Edge on a computer.',
  insecure:
    'Browsers open USB only to pages that came over HTTPS or from this computer. Open this page by its https address, or as http://localhost on the computer where Espalier runs.',
  'not-chosen':
    'No board was chosen. When none is in the list, try another cable (many can only charge), or another USB socket.',
  blocked:
    'The browser or its administrator blocks serial ports for this page. Allow them in the site’s settings (the sign left of the address), then try again.',
  busy: 'The port is in use. Close the other program or tab that holds it (a serial monitor, the Arduino IDE, esptool), then try again.',
  silent:
    'The board does not answer. Hold its BOOT button, press RESET once (or plug it in anew while BOOT is held), let go, and try again.',
  'no-flash':
    'The board’s flash memory does not answer. It may be damaged, or something hangs on its pins; unplug what is connected to the board and try again.',
  lost: 'The connection to the board was lost. Plug it in again, then go on.',
} as const satisfies Partial<Record<Trouble, string>>;

/** A failure with the usual sentence for it. */
export function failure(trouble: keyof typeof SENTENCES): UsbFailure {
  return new UsbFailure(trouble, SENTENCES[trouble]);
}

/** What a browser's refusal to choose or to open a port means. */
export function portFailure(error: unknown): UsbFailure {
  if (error instanceof UsbFailure) return error;
  const name = error instanceof DOMException || error instanceof Error ? error.name : '';
  if (name === 'NotFoundError') return failure('not-chosen');
  if (name === 'SecurityError' || name === 'NotAllowedError') return failure('blocked');
  return failure('busy');
}
