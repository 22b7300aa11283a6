/** Trying again what fails for a while: a connection that breaks, a service that restarts. */

import { pause } from "./patience.js";
import { ServiceError } from "./service.js";

export const RETRY_MS = 2000;

const PASSING = new Set([
  "unreachable", "store_unavailable", "storage_unavailable", "rate_limited", "queue_full", "not_ready",
]);

/** @param {Error} error @returns {boolean} whether it passes by itself */
export function isPassing(error) {
  return error instanceof ServiceError && PASSING.has(error.code);
}

/**
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {object} options
 * @param {AbortSignal} options.signal ends the waiting
 * @param {(error: ServiceError) => void} options.onBreak it failed, and is tried again after a moment
 * @param {() => number} [options.pauseMs] how long that is
 * @returns {Promise<T>} what an attempt gave that did not fail
 * @throws {ServiceError} there is no use in trying again
 * @throws {DOMException} AbortError: the signal was triggered
 */
export async function persistently(attempt, { signal, onBreak, pauseMs = () => RETRY_MS }) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isPassing(error)) throw error;
      onBreak(error);
    }
    await pause(pauseMs(), signal);
  }
}
