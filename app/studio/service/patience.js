/** Waiting when the service is busy, for as long as it asks, in sight of the user. */

import { ServiceError } from "./service.js";

const BUSY = new Set(["queue_full", "rate_limited"]);

/**
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {object} options
 * @param {AbortSignal} options.signal ends the waiting
 * @param {(secondsLeft: number, error: ServiceError) => void} options.onWait once a second
 * @returns {Promise<T>} what an attempt gave that was not refused with 429
 * @throws {DOMException} AbortError: the signal was triggered
 */
export async function patiently(attempt, { signal, onWait }) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ServiceError) || !BUSY.has(error.code)) throw error;
      for (let left = error.retryAfterS ?? 5; left > 0; left--) {
        onWait(left, error);
        await pause(1000, signal);
      }
    }
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @throws {DOMException} AbortError, as soon as the signal is triggered
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("Stopped.", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
