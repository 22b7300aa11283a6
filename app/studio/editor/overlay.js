/**
 * What is drawn above the mask: the selected nucleus, the polygon in the making, the reach of the
 * brush, the crosshair. Lines have the colour of the page's text within that of its ground, so that
 * they are seen on anything.
 *
 * @typedef {import("./view.js").View} View
 * @typedef {import("./raster.js").Point} Point
 * @typedef {object} OverlayState
 * @property {Path2D | null} selection outline of the selected nucleus, in pixels of the image
 * @property {Point[]} corners of the polygon in the making
 * @property {Point | null} pointer where the pointer or the crosshair is
 * @property {number | null} radius of the brush, if it is the tool in hand
 * @property {boolean} crosshair whether the keyboard works the tool
 */

const CORNER_SIZE = 7;

/**
 * @param {CanvasRenderingContext2D} context its unit is one CSS pixel
 * @param {View} view
 * @param {OverlayState} state
 */
export function drawOverlay(context, view, { selection, corners, pointer, radius, crosshair }) {
  const { color: ink, borderTopColor: ground } = getComputedStyle(context.canvas);
  const twice = (unit, path) => strokeTwice(context, unit, path, ink, ground);
  if (selection !== null) {
    context.save();
    context.translate(view.x, view.y);
    context.scale(view.scale, view.scale);
    context.lineCap = "square";
    twice(1 / view.scale, selection);
    context.restore();
  }
  if (corners.length > 0) drawPolygon(context, view, corners, pointer, { twice, ink, ground });
  if (pointer === null) return;
  if (radius !== null) twice(0.75, brush(view, pointer, radius));
  if (crosshair) twice(0.9, cross(view, pointer, radius ?? 0));
}

function strokeTwice(context, unit, path, ink, ground) {
  context.strokeStyle = ground;
  context.lineWidth = 4 * unit;
  context.stroke(path);
  context.strokeStyle = ink;
  context.lineWidth = 1.75 * unit;
  context.stroke(path);
}

/** @returns {Path2D} the reach of the brush */
function brush(view, pixel, radius) {
  const { x, y } = view.placeOf(pixel);
  const path = new Path2D();
  path.arc(x, y, Math.max((radius + 0.5) * view.scale, 2), 0, 2 * Math.PI);
  return path;
}

/** @returns {Path2D} four lines around the brush, and its middle */
function cross(view, pixel, radius) {
  const { x, y } = view.placeOf(pixel);
  const gap = Math.max((radius + 0.5) * view.scale, 3) + 2;
  const end = gap + 14;
  const path = new Path2D();
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    path.moveTo(x + dx * gap, y + dy * gap);
    path.lineTo(x + dx * end, y + dy * end);
  }
  path.rect(x - 0.5, y - 0.5, 1, 1);
  return path;
}

function drawPolygon(context, view, corners, pointer, { twice, ink, ground }) {
  const places = corners.map((corner) => view.placeOf(corner));
  const path = new Path2D();
  places.forEach(({ x, y }) => path.lineTo(x, y));
  if (pointer !== null) {
    const { x, y } = view.placeOf(pointer);
    path.lineTo(x, y);
  }
  twice(0.8, path);
  const squares = new Path2D();
  places.forEach(({ x, y }, i) => {
    const size = i === 0 ? CORNER_SIZE + 3 : CORNER_SIZE; // the first one closes
    squares.rect(x - size / 2, y - size / 2, size, size);
  });
  context.fillStyle = ground;
  context.fill(squares);
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.stroke(squares);
}
