/**
 * Names for wishes (Idempotency-Key): one whose answer was lost is sent again under its name, and the
 * service gives what the first attempt made, instead of making it twice.
 */

import { isPassing } from "./persistence.js";
import { ServiceError } from "./service.js";

export class WishKeys {
  #parts = [];
  /** @type {string | null} */
  #key = null;

  /**
   * @param {...any} parts of the wish; with the same (===) parts it is the same wish
   * @returns {string} its key, until there is an answer to it
   */
  of(...parts) {
    const isSame = parts.length === this.#parts.length && parts.every((part, i) => part === this.#parts[i]);
    if (this.#key === null || !isSame) [this.#parts, this.#key] = [parts, newKey()];
    return this.#key;
  }

  /** The same wish is another from now on. @param {string} key whose wish has its answer */
  answered(key) {
    if (this.#key === key) this.#key = null;
  }

  /**
   * @template T
   * @param {any[]} parts of the wish
   * @param {(headers: Record<string, string>) => Promise<T>} send the wish, with these headers
   * @returns {Promise<T>}
   */
  async ask(parts, send) {
    const key = this.of(...parts);
    try {
      const answer = await send({ "Idempotency-Key": key });
      this.answered(key);
      return answer;
    } catch (error) {
      // A refusal, or how the job of a first attempt has ended: that would be told again for ever.
      if (isAnswer(error)) this.answered(key);
      throw error;
    }
  }
}

/** Whether the service says it, and not something between it and the page that cannot know. */
function isAnswer(error) {
  return error instanceof ServiceError && !isPassing(error) && error.code !== "http_error";
}

/** Not crypto.randomUUID: pages that came over plain HTTP have none. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
