/**
 * Shapes as sets of pixels, in exact integer arithmetic.
 *
 * A pixel is meant by its centre and named by its column and row. A shape is returned as spans:
 * a flat array of triples `row, first column, last column` (both inclusive), not clipped to any
 * image. Spans may overlap.
 *
 * @typedef {number[]} Spans
 * @typedef {{x: number, y: number}} Point column and row of a pixel, integers
 */

/**
 * The pixels at most `radius` + 1/2 away from the segment between two pixels: what a round brush
 * covers on its way. With both ends the same it is a disc. The half makes discs round, and lines
 * of radius 0 unbroken.
 *
 * @param {Point} from
 * @param {Point} to
 * @param {number} radius integer, 0 or more; a disc is 2 * radius + 1 px across
 * @returns {Spans}
 */
export function stroke(from, to, radius) {
  const spans = [];
  const last = Math.max(from.y, to.y) + radius;
  for (let y = Math.min(from.y, to.y) - radius; y <= last; y++) {
    const parts = [discRow(from, radius, y), discRow(to, radius, y), bandRow(from, to, radius, y)];
    // The shape is convex: whatever lies between two of its pixels in a row belongs to it.
    const first = Math.min(...parts.map(([low]) => low));
    const end = Math.max(...parts.map(([, high]) => high));
    if (first <= end) spans.push(y, first, end);
  }
  return spans;
}

const NOTHING = /** @type {const} */ ([Infinity, -Infinity]);

/** Columns of a disc in row y. */
function discRow(centre, radius, y) {
  const square = radius * (radius + 1) - (y - centre.y) ** 2;
  if (square < 0) return NOTHING;
  const half = Math.floor(Math.sqrt(square));
  return [centre.x - half, centre.x + half];
}

/** Columns in row y of the rectangle that has the segment for its middle line. */
function bandRow(from, to, radius, y) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length2 = dx * dx + dy * dy;
  if (length2 === 0) return NOTHING;
  const row = y - from.y;
  const along = interval(dx, dy * row, 0, length2);
  const reach = (radius + 0.5) * Math.sqrt(length2);
  const across = interval(-dy, dx * row, -reach, reach);
  const inside = (column) => {
    const t = dx * column + dy * row;
    const distance = dx * row - dy * column;
    return t >= 0 && t <= length2 && 4 * distance ** 2 <= (2 * radius + 1) ** 2 * length2;
  };
  // The bounds are rounded outwards and then held to the exact condition.
  let low = Math.ceil(Math.max(along[0], across[0]) - 1e-6);
  let high = Math.floor(Math.min(along[1], across[1]) + 1e-6);
  while (low <= high && !inside(low)) low++;
  while (low <= high && !inside(high)) high--;
  return low <= high ? [from.x + low, from.x + high] : NOTHING;
}

/** The x for which low <= slope * x + offset <= high. */
function interval(slope, offset, low, high) {
  if (slope === 0) return offset >= low && offset <= high ? [-Infinity, Infinity] : NOTHING;
  const ends = [(low - offset) / slope, (high - offset) / slope];
  return slope > 0 ? ends : [ends[1], ends[0]];
}

/**
 * The pixels inside a polygon or on its outline. Its corners are pixels. Where the outline crosses
 * itself, every part it goes around belongs to it (non-zero winding).
 *
 * @param {Point[]} corners one or more
 * @returns {Spans}
 */
export function polygon(corners) {
  const edges = corners.map((from, i) => ({ from, to: corners[(i + 1) % corners.length] }));
  const rows = corners.map((corner) => corner.y);
  const spans = [];
  const last = Math.max(...rows);
  for (let y = Math.min(...rows); y <= last; y++) pushInterior(spans, edges, y);
  for (const edge of edges) pushLattice(spans, edge);
  return spans;
}

/** Row y of the interior: between the places where the winding number leaves and reaches 0. */
function pushInterior(spans, edges, y) {
  const crossings = [];
  for (const { from, to } of edges) {
    // Half open, so that a corner is crossed by one of its two edges.
    if (from.y <= y === to.y <= y) continue;
    const x = from.x + ((y - from.y) * (to.x - from.x)) / (to.y - from.y);
    crossings.push({ x, turn: from.y < to.y ? 1 : -1 });
  }
  crossings.sort((a, b) => a.x - b.x);
  let winding = 0;
  let start = 0;
  for (const { x, turn } of crossings) {
    if (winding === 0) start = x;
    winding += turn;
    if (winding !== 0) continue;
    const [first, end] = [Math.ceil(start), Math.floor(x)];
    if (first <= end) spans.push(y, first, end);
  }
}

/** The pixels whose centre an edge passes through. */
function pushLattice(spans, { from, to }) {
  const steps = greatestCommonDivisor(Math.abs(to.x - from.x), Math.abs(to.y - from.y)) || 1;
  for (let i = 0; i <= steps; i++) {
    const x = from.x + ((to.x - from.x) / steps) * i;
    spans.push(from.y + ((to.y - from.y) / steps) * i, x, x);
  }
}

function greatestCommonDivisor(a, b) {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
