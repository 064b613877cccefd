// A file and its signature to the server, as a form.

import { api, ask, type Schemas } from '$/api/client';
import type { Firmware } from './image';

export type Inspection = Schemas['Inspection'];

/** What goes along with a file. */
export interface Extras {
  signature?: string;
  description?: string;
  device_type?: string;
}

function form(file: File, extras: Extras): FormData {
  const data = new FormData();
  data.set('firmware', file, file.name);
  const { signature, ...texts } = extras;
  // As a file: the browser writes other line ends into texts of a form, and every byte of a signature counts.
  if (signature) data.set('signature', new Blob([signature], { type: 'text/plain' }), 'image.sig');
  for (const [name, value] of Object.entries(texts)) if (value) data.set(name, value as string);
  return data;
}

/** The browser writes the form; the typed client only knows its fields. */
export const asForm = (data: FormData) => ({ body: data as never, bodySerializer: () => data });

/** Asks what a file is; nothing is kept. */
export function inspect(file: File, signature: string | undefined): Promise<Inspection> {
  return ask(api.POST('/firmware/inspect', asForm(form(file, signature ? { signature } : {}))));
}

/** Keeps an image. */
export function upload(file: File, extras: Extras): Promise<Firmware> {
  return ask(api.POST('/firmware', asForm(form(file, extras)))) as Promise<Firmware>;
}

/** Splits what was dropped into the image and the text of its signature. */
export async function sort(files: Iterable<File>): Promise<{ image?: File; signature?: string }> {
  const sorted: { image?: File; signature?: string } = {};
  for (const file of files) {
    // A signature is a short text; an image never is.
    if (file.name.endsWith('.sig') && file.size <= 4096) sorted.signature = await file.text();
    else sorted.image = file;
  }
  return sorted;
}
