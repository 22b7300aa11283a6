/**
 * Tiles from a mask and a style: sends the request, follows the job, fetches what was made.
 *
 * @typedef {import("../panels/mask.js").MaskFile} MaskFile
 * @typedef {import("../panels/style.js").Style} Style
 * @typedef {object} Wish
 * @property {MaskFile} mask
 * @property {Style} style
 * @property {string} seed
 * @property {number} n tiles
 * @property {string} mpp micrometres per pixel of the mask and the image; "": the network's
 * @typedef {{blob: Blob, seed: string, sha256: string, manifest: string}} Output
 */

import { runJob } from "./jobs.js";
import { persistently } from "./persistence.js";

/**
 * @param {import("./service.js").Service} service
 * @param {Wish} wish
 * @param {object} options as of `runJob`
 * @returns {Promise<{id: string, createdAt: string, outputs: Output[]}>}
 * @throws {ServiceError} it failed, or was canceled
 */
export async function synthesize(service, wish, options) {
  const job = await runJob(service, "synthesize", [wish], () => formOf(wish), options);
  const fetched = job.outputs.map((output) => fetchOutput(service, output, options));
  return { id: job.id, createdAt: job.created_at, outputs: await Promise.all(fetched) };
}

/** The job is done, and would be done in vain if a connection that breaks ended it here. */
async function fetchOutput(service, { href, manifest, seed, sha256 }, { signal, onBreak }) {
  const [blob, made] = await Promise.all([
    persistently(() => service.blob(href, { signal }), { signal, onBreak }),
    persistently(() => service.text(manifest, { signal }), { signal, onBreak }),
  ]);
  return { blob, seed, sha256, manifest: made };
}

function formOf({ mask, style, seed, n, mpp }) {
  const form = new FormData();
  form.set("mask", mask.blob, mask.name);
  for (const [field, value] of Object.entries(mask.fields)) form.set(field, value);
  if (style.kind === "organ") form.set("organ", style.organ);
  else if (style.kind === "mix") form.set("styles", JSON.stringify(style.weights));
  else form.set("style", style.blob, style.name);
  form.set("seed", seed);
  form.set("n", String(n));
  if (mpp) form.set("mpp", mpp);
  return form;
}
