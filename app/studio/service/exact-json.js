/**
 * JSON of the service with seeds as strings: they go up to 2^63 - 1, and a JavaScript number is
 * exact to 2^53 only.
 */

// In a string of JSON a quote has a backslash before it, so this meets members alone.
const SEED = /("seed"\s*:\s*)(\d+)/g;

/**
 * @param {string} text a JSON document
 * @returns {any} what it says, the values of all members named `seed` as decimal strings
 * @throws {SyntaxError} it is no JSON
 */
export function parseExactly(text) {
  return JSON.parse(text.replace(SEED, '$1"$2"'));
}
