/** Jobs of the service: asked for, followed to their end, canceled. */

import { followJob } from "./events.js";
import { patiently } from "./patience.js";
import { ServiceError } from "./service.js";

/**
 * @param {import("./service.js").Service} service
 * @param {string} path that a job is asked for with
 * @param {any[]} parts of the wish, as WishKeys has them
 * @param {() => FormData} bodyOf the request; called for each attempt
 * @param {object} options
 * @param {import("./wish-keys.js").WishKeys} options.keys
 * @param {AbortSignal} options.signal stops waiting; the job itself is canceled with `cancelJob`
 * @param {(job: any) => void} options.onJob the job document whenever it changes
 * @param {(secondsLeft: number, error: ServiceError) => void} options.onWait the service is busy
 * @param {() => void} options.onBreak the connection is lost and made again
 * @returns {Promise<any>} document of the job, which succeeded; or of the style that it has made, if
 *   that was ready at once
 * @throws {ServiceError} it failed, or was canceled
 */
export async function runJob(service, path, parts, bodyOf, { keys, signal, onJob, onWait, onBreak }) {
  const send = (key) => () => {
    // The job, also if its tile is ready by now: another attempt may have been for it.
    const headers = { Accept: "application/json", Prefer: "respond-async", ...key };
    return service.json(path, { method: "POST", headers, body: bodyOf(), signal });
  };
  let job = await keys.ask(parts, (key) => patiently(send(key), { signal, onWait }));
  if (job.status === undefined) return job; // a style
  const told = (changed) => onJob((job = changed));
  told(job);
  await followJob(service, job.links.events, { signal, onJob: told, onBreak });
  if (job.status === "canceled") throw new ServiceError("job_canceled", "The job was canceled.");
  if (job.status === "failed") throw new ServiceError(job.error.code, job.error.detail);
  return job;
}

/**
 * One that has finished meanwhile stays as it is.
 *
 * @param {import("./service.js").Service} service
 * @param {any} job its document
 */
export async function cancelJob(service, job) {
  if (job.links.cancel !== null) await service.request(job.links.cancel, { method: "DELETE" });
}
