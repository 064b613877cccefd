// Makes a picture small enough to live inside a widget's config.

/** The server takes 96 KiB of config; the rest of it needs a little too. */
const MOST_BYTES = 88_000;
const SIDES = [1200, 800, 560, 400, 240];
const QUALITY = 0.8;

/** Reads a picture file and returns it as a data URL that fits, scaled down as far as needed. */
export async function pictureUrl(file: Blob): Promise<string> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error('This file is not a picture that the browser can read.');
  }
  for (const side of SIDES) {
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    // A browser that cannot write WebP gives PNG instead.
    const url = canvas.toDataURL('image/webp', QUALITY);
    if (url.length <= MOST_BYTES) return url;
  }
  throw new Error('This picture cannot be made small enough; choose a simpler one.');
}
