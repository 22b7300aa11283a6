/**
 * Tiles from a mask and a style: sends the request, follows the job, fetches what was made.
 *
 * @typedef {import("../panels/mask.js").MaskFile} MaskFile
 * @typedef {import("../panels/style.js").Style} Style
 * @typedef {{mask: MaskFile, style: Style, seed: string, n: number}} Wish
 * @typedef {{blob: Blob, seed: string, sha256: string, manifest: string}} Output
 */

import { followJob } from "./events.js";
import { patiently } from "./patience.js";
import { ServiceError } from "./service.js";

/**
 * @param {import("./service.js").Service} service
 * @param {Wish} wish
 * @param {object} options
 * @param {AbortSignal} options.signal stops waiting; the job itself is canceled with `cancelJob`
 * @param {(job: any) => void} options.onJob the job document whenever it changes
 * @param {(secondsLeft: number, error: ServiceError) => void} options.onWait the service is busy
 * @param {() => void} options.onBreak the connection is lost and made again
 * @returns {Promise<{id: string, createdAt: string, outputs: Output[]}>}
 * @throws {ServiceError} it failed, or was canceled
 */
export async function synthesize(service, wish, { signal, onJob, onWait, onBreak }) {
  const options = { method: "POST", headers: { Prefer: "respond-async" }, signal };
  const send = () => service.json("synthesize", { ...options, body: formOf(wish) });
  let job = await patiently(send, { signal, onWait });
  const told = (changed) => onJob((job = changed));
  told(job);
  await followJob(service, job.links.events, { signal, onJob: told, onBreak });
  if (job.status === "canceled") throw new ServiceError("job_canceled", "The job was canceled.");
  if (job.status === "failed") throw new ServiceError(job.error.code, job.error.detail);
  const outputs = await Promise.all(job.outputs.map((output) => fetchOutput(service, output, signal)));
  return { id: job.id, createdAt: job.created_at, outputs };
}

/** @param {import("./service.js").Service} service @param {any} job its document */
export async function cancelJob(service, job) {
  if (job.links.cancel !== null) await service.request(job.links.cancel, { method: "DELETE" });
}

async function fetchOutput(service, { href, manifest, seed, sha256 }, signal) {
  const [blob, made] = await Promise.all([
    service.blob(href, { signal }),
    service.request(manifest, { signal }).then((response) => response.text()),
  ]);
  return { blob, seed, sha256, manifest: made };
}

function formOf({ mask, style, seed, n }) {
  const form = new FormData();
  form.set("mask", mask.blob, mask.name);
  for (const [field, value] of Object.entries(mask.fields)) form.set(field, value);
  if (style.kind === "organ") form.set("organ", style.organ);
  else if (style.kind === "mix") form.set("styles", JSON.stringify(style.weights));
  else form.set("style", style.blob, style.name);
  form.set("seed", seed);
  form.set("n", String(n));
  return form;
}
