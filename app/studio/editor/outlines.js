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
  const { x0, y0, x1, y1 } = region;
  for (let y = y0; y <= y1; y++) {
    const above = (x) => (y > 0 ? labels[(y - 1) * width + x] : 0);
    const below = (x) => (y < height ? labels[y * width + x] : 0);
    runsOfLine(x0, x1, above, below, (start, end, a, b) => visit(start, y, end, y, a, b));
  }
  for (let x = x0; x <= x1; x++) {
    const left = (y) => (x > 0 ? labels[y * width + x - 1] : 0);
    const right = (y) => (x < width ? labels[y * width + x] : 0);
    runsOfLine(y0, y1, left, right, (start, end, a, b) => visit(x, start, x, end, a, b));
  }
}

function runsOfLine(start, end, sideA, sideB, visit) {
  for (let i = start; i < end; ) {
    const a = sideA(i);
    const b = sideB(i);
    const first = i++;
    while (i < end && sideA(i) === a && sideB(i) === b) i++;
    if (a !== b) visit(first, i, a, b);
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
