/** What can be seen of a style image before it is sent. */

import { ServiceError } from "./service.js";

const SMALLEST_PX = 64;
const TIFF = new Set(["II*\0", "MM\0*", "II+\0", "MM\0+"]);

/**
 * @param {Blob} blob
 * @param {string} name of the file
 * @throws {ServiceError} it is no image, or a small one. Of a TIFF, which browsers do not read, and of
 *   what is in the image, only the service can say.
 */
export async function checkStyleImage(blob, name) {
  const head = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
  if (TIFF.has(String.fromCharCode(...head))) return;
  const picture = await createImageBitmap(blob).catch(() => null);
  if (picture === null) throw new ServiceError("style_unreadable", `${name} is no image.`);
  const { width, height } = picture;
  picture.close();
  if (Math.min(width, height) < SMALLEST_PX) {
    throw new ServiceError("style_too_small", `${name} is ${width} x ${height} px.`);
  }
}
