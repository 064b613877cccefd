// The files of a kit as they lie in a folder, gathered from what a person chose or dropped, and sent to the server. The server
// checks what they hold; here it is only seen whether all are there.

import { api, ask } from '$/api/client';
import { asForm } from '../images/send';
import type { Kit } from '../usb/kit';

/** The largest kit.json that the server reads, bytes. */
const MAX_KIT_FILE = 65_536;
/** The longest signature. */
const MAX_SIGNATURE = 4096;

export interface Gathered {
  /** What kit.json says. */
  variant: string;
  chip: string;
  version: string;
  json: File;
  /** Each part with its file, where that is there. */
  parts: { name: string; file: string; found: File | undefined }[];
  signature: File | undefined;
}

const text = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** Finds a kit among files. Throws a sentence when there is none. */
export async function gather(files: readonly File[]): Promise<Gathered> {
  const named = (name: string): File | undefined => files.find((file) => file.name === name);
  const all = files.filter((file) => file.name === 'kit.json');
  const json = all[0];
  if (!json) throw new Error('There is no kit.json among these files: choose everything in the folder of a kit.');
  if (all.length > 1) throw new Error('These are several kits: add one folder at a time.');
  const none = new Error('This kit.json describes no kit: choose the one that the build wrote.');
  if (json.size > MAX_KIT_FILE) throw none;
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(await json.text()) as Record<string, unknown>;
  } catch {
    throw none;
  }
  const { variant, chip, version, parts } = said ?? {};
  if (!text(variant) || !text(chip) || !text(version) || !Array.isArray(parts)) throw none;
  const found = (parts as Record<string, unknown>[]).map((part) => {
    const { name, file } = part ?? {};
    if (!text(name) || !text(file)) throw none;
    return { name, file, found: named(file) };
  });
  const app = found.find(({ name }) => name === 'app');
  const signature = app && named(`${app.file}.sig`);
  return { variant, chip, version, json, parts: found, signature };
}

/** Why a kit cannot be sent yet; empty when it can. */
export function lacks({ parts, signature }: Gathered): string {
  const missing = parts.filter(({ found }) => !found).map(({ file }) => file);
  if (missing.length) return `Still missing: ${missing.join(', ')}. Choose what lies beside kit.json as well.`;
  return signature && signature.size > MAX_SIGNATURE ? `${signature.name} is no signature: it is too large.` : '';
}

/** Adds a kit to the library. */
export function send({ json, parts, signature }: Gathered): Promise<Kit> {
  const data = new FormData();
  // Texts go as files, too: the browser writes other line ends into texts of a form.
  data.set('kit', json, json.name);
  for (const { name, file, found } of parts) if (found) data.set(name, found, file);
  if (signature) data.set('signature', signature, signature.name);
  return ask(api.POST('/firmware/kits', asForm(data))) as Promise<Kit>;
}

/** What was dropped: files, and those directly in folders. */
export async function dropped(transfer: Pick<DataTransfer, 'items'>): Promise<File[]> {
  // The list is empty after the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const lists = await Promise.all(entries.map((entry) => (entry.isDirectory ? inside(entry) : [entry])));
  const found = lists.flat().filter((entry) => entry.isFile) as FileSystemFileEntry[];
  return Promise.all(found.map((entry) => new Promise<File>((done, fail) => entry.file(done, fail))));
}

async function inside(folder: FileSystemEntry): Promise<FileSystemEntry[]> {
  const reader = (folder as FileSystemDirectoryEntry).createReader();
  const all: FileSystemEntry[] = [];
  // It answers in portions, the last of which is empty.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return all;
    all.push(...some);
  }
}
