/** The pixel size that the network works at: the service brings masks of another to it. */

const ONE_PASS_PX = 1024; // at that scale
const TOLERANCE = 0.05; // up to which nothing is resampled, as in worker/scale.py

/**
 * @param {number} side of a mask, the longer one, in pixels
 * @param {number} mpp micrometres per pixel of it; NaN: the network's
 * @param {number | null} networkMpp null: not known
 * @returns {boolean} whether the network paints it in windows, and one tile a job
 */
export function isLarge(side, mpp, networkMpp) {
  const factor = Number.isNaN(mpp) || networkMpp === null ? 1 : mpp / networkMpp;
  const isSame = Math.max(factor, 1 / factor) <= 1 + TOLERANCE;
  // Python rounds a half to the even number, here down.
  return isSame ? side > ONE_PASS_PX : side * factor > ONE_PASS_PX + 0.5;
}
