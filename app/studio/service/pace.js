/** How fast something goes, judged by what was seen of it lately. */

const WINDOW_MS = 60_000;

export class Pace {
  /** @type {{at: number, done: number}[]} */
  #seen = [];

  /** @param {number} done so far @param {number} [at] in milliseconds */
  see(done, at = performance.now()) {
    if (this.#seen.at(-1)?.done === done) return;
    this.#seen.push({ at, done });
    // The one before the window stays: slow work is seen less than once in it.
    while (this.#seen.length > 2 && this.#seen[1].at < at - WINDOW_MS) this.#seen.shift();
  }

  /** @returns {number | null} a second; null: too little was seen */
  get rate() {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    return this.#seen.length < 2 ? null : (1000 * (last.done - first.done)) / (last.at - first.at);
  }
}

/** @param {number} rate a second @returns {string} such as "1.3 tiles a second" */
export function rateWords(rate) {
  return rate >= 1 ? `${rate.toFixed(1)} tiles a second` : `${Math.max(1, Math.round(60 * rate))} tiles a minute`;
}

/** @param {number} seconds @returns {string} such as "6 min", rounded as people would */
export function durationWords(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return `${Math.round(minutes / 60)} h`;
}
