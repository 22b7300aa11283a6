/**
 * Datasets of random masks and their tiles: ask for one, and follow it.
 *
 * @typedef {object} Wish
 * @property {number} count of tiles
 * @property {Record<string, number> | null} organs with their weights; null for all presets alike
 * @property {number} width of every tile, in pixels
 * @property {number} height
 * @property {string | null} seed null for a new one
 * @property {string[]} formats of the annotations
 *
 * @typedef {any} Dataset the service's document, its seed as a string
 */

import { follow } from "./events.js";
import { patiently } from "./patience.js";

/**
 * @param {import("./service.js").Service} service
 * @param {Wish} wish
 * @param {object} options
 * @param {import("./wish-keys.js").WishKeys} options.keys
 * @param {AbortSignal} options.signal ends the waiting
 * @param {(secondsLeft: number, error: import("./service.js").ServiceError) => void} options.onWait
 *   the service is busy
 * @returns {Promise<Dataset>} as it was accepted
 * @throws {ServiceError} it was not
 */
export async function askForDataset(service, wish, { keys, signal, onWait }) {
  const body = bodyOf(wish);
  return keys.ask([body], (key) => {
    const headers = { "Content-Type": "application/json", ...key };
    const send = () => service.json("datasets", { method: "POST", headers, body, signal });
    return patiently(send, { signal, onWait });
  });
}

/**
 * @param {import("./service.js").Service} service
 * @param {Dataset} dataset
 * @param {object} options `signal` and `onBreak` as of `follow`, and
 * @param {(dataset: Dataset) => void} options.onDataset whenever it changes, until nothing more is
 *   done for it
 */
export async function followDataset(service, { links }, { onDataset, ...options }) {
  await follow(service, links.events, { ...options, name: "dataset", onNews: onDataset, isLast: isFinished });
}

/** @param {Dataset} dataset @returns {boolean} nothing more is done; its status may say so before */
export function isFinished({ finished_at }) {
  return finished_at !== null;
}

/** JSON with the seed as a number: as one of JavaScript's it would be rounded. */
function bodyOf({ seed, organs, ...wish }) {
  const body = JSON.stringify(organs === null ? wish : { ...wish, organs });
  return seed === null ? body : `${body.slice(0, -1)},"seed":${seed}}`;
}
