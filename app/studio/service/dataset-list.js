/**
 * The datasets that were asked for in this browser (localStorage). Each has an entry of its own, so
 * that two tabs do not undo each other's.
 *
 * @typedef {{dataset: import("./datasets.js").Dataset, gone: boolean}} Entry the dataset as it was
 *   last seen; gone: the service no longer has it
 */

const PREFIX = "sian-dataset-";

/** @returns {Entry[]} the newest first */
export function all() {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => JSON.parse(localStorage.getItem(key)))
    .sort((a, b) => (a.dataset.created_at < b.dataset.created_at ? 1 : -1));
}

/** @param {Entry} entry replaces that of the same dataset */
export function keep(entry) {
  localStorage.setItem(PREFIX + entry.dataset.id, JSON.stringify(entry));
}

/** @param {string} id of the dataset */
export function forget(id) {
  localStorage.removeItem(PREFIX + id);
}
