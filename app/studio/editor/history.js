/**
 * What can be undone and redone, bounded by bytes. A step holds the runs of pixels that changed
 * and nothing else, so that its size is that of the stroke and not that of the image.
 *
 * @typedef {import("./label-image.js").Change} Change
 * @typedef {Change & {title: string}} Step a change and what it did, for people
 */

const STEP_BYTES = 256; // of a step beside its runs, roughly

export class History {
  /** @type {Step[]} */
  #done = [];
  /** @type {Step[]} */
  #undone = [];
  #bytes = 0;

  /** @param {number} maxBytes the oldest steps go when there is more; the newest always stays */
  constructor(maxBytes = 64 * 2 ** 20) {
    this.maxBytes = maxBytes;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Of all steps, undone ones included. */
  get bytes() {
    return this.#bytes;
  }

  /** A new step; what was undone before it is gone. @param {Step} step */
  push(step) {
    for (const gone of this.#undone) this.#bytes -= size(gone);
    this.#undone = [];
    this.#done.push(step);
    this.#bytes += size(step);
    while (this.#bytes > this.maxBytes && this.#done.length > 1) {
      this.#bytes -= size(this.#done.shift());
    }
  }

  /** The step to take back now. @returns {Step | null} */
  undo() {
    const step = this.#done.pop() ?? null;
    if (step !== null) this.#undone.push(step);
    return step;
  }

  /** The step to make again now. @returns {Step | null} */
  redo() {
    const step = this.#undone.pop() ?? null;
    if (step !== null) this.#done.push(step);
    return step;
  }

  clear() {
    this.#done = [];
    this.#undone = [];
    this.#bytes = 0;
  }
}

function size(step) {
  return step.runs.byteLength + STEP_BYTES;
}
