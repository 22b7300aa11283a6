/** Seeds, as decimal strings. */

export const MAX_SEED = 2n ** 63n - 1n;

/** @returns {string} any of the 2^63 seeds */
export function randomSeed() {
  const [word] = crypto.getRandomValues(new BigUint64Array(1));
  return String(word >> 1n);
}

/**
 * @param {string} text what somebody typed
 * @returns {string | null} the seed, or null if it is none
 */
export function readSeed(text) {
  const digits = text.trim();
  if (!/^\d{1,19}$/.test(digits)) return null;
  const seed = BigInt(digits);
  return seed <= MAX_SEED ? String(seed) : null;
}
