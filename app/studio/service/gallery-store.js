/**
 * Past runs, kept in this browser (IndexedDB), the newest within a limit of size.
 *
 * @typedef {import("../panels/result.js").Run} Run
 */

const NAME = "sian-studio";
const STORE = "runs";

export const LIMIT_BYTES = 256 * 2 ** 20;

/** A run that alone is larger than the limit. */
export class TooLarge extends Error {
  name = "TooLarge";
}

/** @returns {Promise<Run[]>} the newest first */
export async function all() {
  const runs = await request((store) => store.getAll(), "readonly");
  return runs.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/**
 * Keep a run; the oldest ones go where there is no more room.
 *
 * @param {Run} run
 * @throws {TooLarge}
 */
export async function keep(run) {
  let left = LIMIT_BYTES - sizeOf(run);
  if (left < 0) throw new TooLarge("The tiles are too large to be kept in the gallery. Download them.");
  for (const other of await all()) {
    if (other.id === run.id) continue;
    left -= sizeOf(other);
    if (left < 0) await remove(other.id);
  }
  await request((store) => store.put(run), "readwrite");
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
