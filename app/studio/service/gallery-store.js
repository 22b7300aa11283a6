/**
 * Past runs, kept in this browser (IndexedDB), the newest within a limit of size.
 *
 * @typedef {import("../panels/result.js").Run} Run
 */

import { ServiceError } from "./service.js";

const NAME = "sian-studio";
const STORE = "runs";

export const LIMIT_BYTES = 256 * 2 ** 20;

/** @returns {Promise<Run[]>} the newest first */
export async function all() {
  const runs = await request((store) => store.getAll(), "readonly");
  return runs.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/**
 * Keep a run; the oldest ones go where there is no more room.
 *
 * @param {Run} run
 * @throws {ServiceError} gallery_full: it is too large, or the browser has no room
 */
export async function keep(run) {
  let left = LIMIT_BYTES - sizeOf(run);
  if (left < 0) {
    throw new ServiceError("gallery_full", `Mask and tiles are larger than ${LIMIT_BYTES / 2 ** 20} MB.`);
  }
  for (const other of await all()) {
    if (other.id === run.id) continue;
    left -= sizeOf(other);
    if (left < 0) await remove(other.id);
  }
  try {
    await request((store) => store.put(run), "readwrite");
  } catch (error) {
    if (error.name !== "QuotaExceededError") throw error;
    throw new ServiceError("gallery_full", "The browser has no more room for this page.");
  }
}

/** @param {string} id of the run's job */
export async function remove(id) {
  await request((store) => store.delete(id), "readwrite");
}

export async function clear() {
  await request((store) => store.clear(), "readwrite");
}

/** @param {Run} run @returns {number} bytes, of its files */
export function sizeOf({ mask, style, outputs }) {
  const files = [mask.blob, ...(style.kind === "image" ? [style.blob] : []), ...outputs.map(({ blob }) => blob)];
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** One transaction, once it is complete. */
async function request(action, mode) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const asked = action(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
}
