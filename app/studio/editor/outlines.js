/**
 * Outlines of nuclei along the edges of pixels, for drawing over a mask or a tile.
 *
 * Two neighbouring pixels with different ids share an edge of the outline, and so do a pixel of a
 * nucleus and the border of the image. Coordinates are those of pixel corners: pixel (x, y) lies
 * between (x, y) and (x + 1, y + 1).
 *
 * @typedef {import("./label-image.js").Rect} Rect
 * @typedef {object} OutlineOptions
 * @property {Rect} [region] only edges of pixels in it; the whole image if absent
 * @property {number} [id] only edges of this nucleus
 */

/**
 * Calls `visit` for every straight run of edges between the same two ids.
 *
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @param {Rect} region
 * @param {(x0: number, y0: number, x1: number, y1: number, a: number, b: number) => void} visit
 *   ends of the run, x0 <= x1 and y0 <= y1; ids above and below, or left and right
 */
export function eachRun(labels, width, height, region, visit) {
  eachHorizontalRun(labels, width, height, region, visit);
  eachVerticalRun(labels, width, region, visit);
}

function eachHorizontalRun(labels, width, height, { x0, y0, x1, y1 }, visit) {
  for (let y = y0; y <= y1; y++) {
    const row = y * width;
    let start = x0;
    let above = 0;
    let below = 0;
    for (let x = x0; x < x1; x++) {
      const a = y > 0 ? labels[row - width + x] : 0;
      const b = y < height ? labels[row + x] : 0;
      if (a === above && b === below) continue;
      if (above !== below) visit(start, y, x, y, above, below);
      [start, above, below] = [x, a, b];
    }
    if (above !== below) visit(start, y, x1, y, above, below);
  }
}

/** Row by row as well, with the run of every column in hand: memory is read in its order. */
function eachVerticalRun(labels, width, { x0, y0, x1, y1 }, visit) {
  const lines = x1 - x0 + 1;
  const start = new Int32Array(lines);
  const left = new Int32Array(lines);
  const right = new Int32Array(lines);
  for (let y = y0; y <= y1; y++) {
    const row = y * width;
    for (let line = 0; line < lines; line++) {
      const x = x0 + line;
      const a = y < y1 && x > 0 ? labels[row + x - 1] : 0;
      const b = y < y1 && x < width ? labels[row + x] : 0;
      if (a === left[line] && b === right[line]) continue;
      if (left[line] !== right[line]) visit(x, start[line], x, y, left[line], right[line]);
      start[line] = y;
      left[line] = a;
      right[line] = b;
    }
  }
}

/**
 * The outlines as segments.
 *
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @param {OutlineOptions} [options]
 * @returns {number[]} quadruples x0, y0, x1, y1; every edge lies in exactly one segment
 */
export function outlineSegments(labels, width, height, { region, id } = {}) {
  const segments = [];
  const all = { x0: 0, y0: 0, x1: width, y1: height };
  eachRun(labels, width, height, region ?? all, (x0, y0, x1, y1, a, b) => {
    if (id === undefined || a === id || b === id) segments.push(x0, y0, x1, y1);
  });
  return segments;
}

/**
 * The outlines as a path in the pixels of the image, to be stroked under the transform of a view.
 *
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @param {OutlineOptions} [options]
 * @returns {Path2D}
 */
export function outlines(labels, width, height, options) {
  return pathOf(outlineSegments(labels, width, height, options));
}

/** @param {number[]} segments quadruples x0, y0, x1, y1 @returns {Path2D} */
export function pathOf(segments) {
  const path = new Path2D();
  for (let i = 0; i < segments.length; i += 4) {
    path.moveTo(segments[i], segments[i + 1]);
    path.lineTo(segments[i + 2], segments[i + 3]);
  }
  return path;
}

/**
 * The outlines, nucleus by nucleus. An edge between two nuclei belongs to both.
 *
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @param {Rect} region
 * @returns {Map<number, number[]>} segments by id
 */
export function outlinesById(labels, width, height, region) {
  const segments = new Map();
  eachRun(labels, width, height, region, (x0, y0, x1, y1, a, b) => {
    for (const id of [a, b]) {
      if (id === 0) continue;
      if (!segments.has(id)) segments.set(id, []);
      segments.get(id).push(x0, y0, x1, y1);
    }
  });
  return segments;
}
