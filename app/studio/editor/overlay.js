/**
 * What is drawn above the mask: the selected nucleus, the polygon in the making, the reach of the
 * brush, the crosshair. Lines are dark within light, so that they are seen on anything.
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

const DARK = "rgb(17 20 24 / 0.92)";
const LIGHT = "rgb(255 255 255 / 0.95)";
const CORNER_SIZE = 7;

/**
 * @param {CanvasRenderingContext2D} context its unit is one CSS pixel
 * @param {View} view
 * @param {OverlayState} state
 */
export function drawOverlay(context, view, { selection, corners, pointer, radius, crosshair }) {
  if (selection !== null) {
    context.save();
    context.translate(view.x, view.y);
    context.scale(view.scale, view.scale);
    context.lineCap = "square";
    twice(context, 1 / view.scale, selection);
    context.restore();
  }
  if (corners.length > 0) drawPolygon(context, view, corners, pointer);
  if (pointer === null) return;
  if (radius !== null) drawBrush(context, view, pointer, radius);
  if (crosshair) drawCrosshair(context, view, pointer, radius ?? 0);
}

/** A line that is seen on light and on dark ground. */
function twice(context, unit, path) {
  context.strokeStyle = LIGHT;
  context.lineWidth = 4 * unit;
  context.stroke(path);
  context.strokeStyle = DARK;
  context.lineWidth = 1.75 * unit;
  context.stroke(path);
}

function drawBrush(context, view, pixel, radius) {
  const { x, y } = view.placeOf(pixel);
  const path = new Path2D();
  path.arc(x, y, Math.max((radius + 0.5) * view.scale, 2), 0, 2 * Math.PI);
  twice(context, 0.7, path);
}

function drawCrosshair(context, view, pixel, radius) {
  const { x, y } = view.placeOf(pixel);
  const gap = Math.max((radius + 0.5) * view.scale, 3) + 2;
  const end = gap + 14;
  const path = new Path2D();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    path.moveTo(x + dx * gap, y + dy * gap);
    path.lineTo(x + dx * end, y + dy * end);
  }
  path.rect(x - 0.5, y - 0.5, 1, 1);
  twice(context, 0.9, path);
}

function drawPolygon(context, view, corners, pointer) {
  const places = corners.map((corner) => view.placeOf(corner));
  const path = new Path2D();
  places.forEach(({ x, y }) => path.lineTo(x, y));
  if (pointer !== null) {
    const { x, y } = view.placeOf(pointer);
    path.lineTo(x, y);
  }
  twice(context, 0.8, path);
  const squares = new Path2D();
  places.forEach(({ x, y }, i) => {
    const size = i === 0 ? CORNER_SIZE + 3 : CORNER_SIZE; // the first one closes
    squares.rect(x - size / 2, y - size / 2, size, size);
  });
  context.fillStyle = LIGHT;
  context.fill(squares);
  context.strokeStyle = DARK;
  context.lineWidth = 1.5;
  context.stroke(squares);
}
