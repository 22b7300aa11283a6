/**
 * Masks between the page and the service, which reads and writes all formats; the page itself only
 * those of its own.
 *
 * @typedef {import("../panels/mask.js").MaskFile} MaskFile
 * @typedef {{labels: Int32Array, width: number, height: number}} Mask
 * @typedef {object} Options
 * @property {AbortSignal} signal ends the waiting
 * @property {(secondsLeft: number, error: import("./service.js").ServiceError) => void} onWait the
 *   service is busy
 */

import { NpyError, decodeNpy, encodeNpy } from "../editor/npy.js";
import { encodeTiff } from "../editor/tiff.js";
import { patiently } from "./patience.js";

const SNIFFED_BYTES = 65536;
const LARGE_PX = 1024 ** 2; // compressed from here on

/**
 * @param {import("./service.js").Service} service
 * @param {MaskFile} file
 * @param {string} format as the service calls it
 * @param {Options} options
 * @returns {Promise<Blob>} the mask with the same ids in that format
 */
export async function convertMask(service, { blob, name, fields }, format, { signal, onWait }) {
  const form = new FormData();
  form.set("mask", blob, name);
  form.set("format", format);
  for (const [field, value] of Object.entries(fields)) form.set(field, value);
  const send = () => service.blob("masks/convert", { method: "POST", body: form, signal });
  return patiently(send, { signal, onWait });
}

/**
 * @param {import("./service.js").Service} service
 * @param {MaskFile} file
 * @param {Options} options
 * @returns {Promise<Mask>} what it holds
 */
export async function readMask(service, file, options) {
  const npy = await convertMask(service, file, "npy", options);
  return decodeNpy(await npy.arrayBuffer());
}

/** The same, without the service where the file is one of the page's own. */
export async function recallMask(service, file, options) {
  if (Object.keys(file.fields).length > 0) return readMask(service, file, options);
  try {
    return decodeNpy(await file.blob.arrayBuffer());
  } catch (error) {
    if (!(error instanceof NpyError)) throw error;
    return readMask(service, file, options);
  }
}

/**
 * @param {import("./service.js").Service} service
 * @param {{organ: string, width: number, height: number}} wish
 * @param {string | null} seed null for a new one
 * @param {Options} options
 * @returns {Promise<Mask>} with nuclei as those of the organ
 */
export async function generateMask(service, wish, seed, { signal, onWait }) {
  const json = JSON.stringify({ ...wish, format: "npy" });
  const body = seed === null ? json : `${json.slice(0, -1)},"seed":${seed}}`; // as a number it would be rounded
  const headers = { "Content-Type": "application/json" };
  const send = () => service.bytes("masks", { method: "POST", headers, body, signal });
  return decodeNpy(await patiently(send, { signal, onWait }));
}

/** Small ones as .npy, which is read back without the service. @returns {Promise<MaskFile>} */
export async function fileOf(labels, width, height) {
  if (labels.length > LARGE_PX) {
    return { blob: await encodeTiff(labels, width, height), name: "mask.tif", fields: {} };
  }
  return { blob: new Blob([encodeNpy(labels, width, height)]), name: "mask.npy", fields: {} };
}

/** Whether the file is of a format that does not say how large its image is. @param {Blob} blob */
export async function lacksSize(blob) {
  const head = (await blob.slice(0, SNIFFED_BYTES).text()).trimStart();
  if (head.startsWith("<")) return true; // Aperio XML
  return /^[[{]/.test(head) && /"type"\s*:\s*"Feature(Collection)?"/.test(head);
}
