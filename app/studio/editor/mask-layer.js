/**
 * Draws an instance mask of any size: tiles of 256 x 256 px, made when they come into sight and
 * kept, at the power of two of a resolution that is next to the screen's. A change repaints the
 * pixels of the tiles it touched and no others.
 *
 * @typedef {import("./label-image.js").Rect} Rect
 * @typedef {import("./label-image.js").LabelImage} LabelImage
 * @typedef {import("./view.js").View} View
 */

import { colourOf, cssColour } from "./colours.js";
import { intersection, union } from "./label-image.js";
import { outlinesById, pathOf } from "./outlines.js";

const TILE = 256;
const MAX_TILES = 384; // of 256 KiB each
const FILL_ALPHA = 0.42;
const EDGE_ALPHA = 0.95;
const HALO = "rgb(255 255 255 / 0.6)";
// From this scale on, outlines are lines along the edges of pixels. Below it, the pixels at the
// edge of a nucleus are painted stronger.
const LINE_SCALE = 4;

export class MaskLayer {
  /** @type {Map<string, {level: number, x: number, y: number, canvas: OffscreenCanvas, dirty: Rect | null}>} */
  #tiles = new Map();
  #colours = new Map();
  #image;

  /** @param {LabelImage} image */
  constructor(image) {
    this.#image = image;
  }

  /** Ids in this part of the image have changed. @param {Rect} rect */
  invalidate(rect) {
    for (const tile of this.#tiles.values()) {
      const stride = 2 ** tile.level;
      const part = {
        x0: Math.floor((rect.x0 - stride) / stride) - tile.x,
        y0: Math.floor((rect.y0 - stride) / stride) - tile.y,
        x1: Math.ceil((rect.x1 + stride) / stride) - tile.x,
        y1: Math.ceil((rect.y1 + stride) / stride) - tile.y,
      };
      tile.dirty = union(tile.dirty, intersection(part, { x0: 0, y0: 0, x1: TILE, y1: TILE }));
    }
  }

  /**
   * How far around a pixel of the image the look of others depends on it: outlines on the next
   * ones, and smoothing on theirs.
   *
   * @param {number} scale pixels of the screen per pixel of the image
   */
  static reach(scale) {
    return 1 + 2 * 2 ** levelOf(scale);
  }

  /**
   * @param {CanvasRenderingContext2D} context its unit is one pixel of the screen
   * @param {View} view
   * @param {number} ratio pixels of the screen per CSS pixel
   * @param {Rect} region of the image: draw at least this
   * @param {boolean} halo set the outlines off from an image beneath, by a light rim
   */
  draw(context, view, ratio, region, halo) {
    const lines = view.scale >= LINE_SCALE;
    this.#drawTiles(context, view, ratio, region, !lines);
    if (lines) this.#drawLines(context, view, ratio, region, halo);
  }

  #drawTiles(context, view, ratio, region, edges) {
    const scale = view.scale * ratio;
    const level = levelOf(scale);
    const size = TILE * 2 ** level;
    // Magnified a little, pixels would come out unequal; magnified much, they shall be seen.
    context.imageSmoothingEnabled = scale < 2 && scale !== 1;
    // Rounded, so that neighbouring tiles meet without a seam.
    const placeX = (column) => Math.round(view.x * ratio + column * size * scale);
    const placeY = (row) => Math.round(view.y * ratio + row * size * scale);
    const used = new Set();
    for (let row = Math.floor(region.y0 / size); row * size < region.y1; row++) {
      for (let column = Math.floor(region.x0 / size); column * size < region.x1; column++) {
        const tile = this.#tile(level, edges, column, row);
        used.add(tile);
        const [x, y] = [placeX(column), placeY(row)];
        context.drawImage(tile.canvas, x, y, placeX(column + 1) - x, placeY(row + 1) - y);
      }
    }
    this.#forget(used);
  }

  #drawLines(context, view, ratio, region, halo) {
    const { labels, width, height } = this.#image;
    const scale = view.scale * ratio;
    context.save();
    context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
    context.lineCap = "square";
    const byId = outlinesById(labels, width, height, region);
    if (halo) {
      context.lineWidth = (4 * ratio) / scale;
      context.strokeStyle = HALO;
      context.stroke(pathOf([...byId.values()].flat()));
    }
    context.lineWidth = (1.5 * ratio) / scale;
    // In the order of ids, so that two nuclei always share their edge in the same way.
    for (const id of [...byId.keys()].sort((a, b) => a - b)) {
      context.strokeStyle = cssColour(id, EDGE_ALPHA);
      context.stroke(pathOf(byId.get(id)));
    }
    context.restore();
  }

  #tile(level, edges, column, row) {
    const key = `${level} ${edges} ${column} ${row}`;
    let tile = this.#tiles.get(key);
    if (tile === undefined) {
      const canvas = new OffscreenCanvas(TILE, TILE);
      const dirty = { x0: 0, y0: 0, x1: TILE, y1: TILE };
      tile = { level, x: column * TILE, y: row * TILE, canvas, dirty };
    } else {
      this.#tiles.delete(key); // to the end: what was used last
    }
    this.#tiles.set(key, tile);
    if (tile.dirty !== null) this.#paint(tile, edges);
    return tile;
  }

  #forget(used) {
    for (const [key, tile] of this.#tiles) {
      if (this.#tiles.size <= MAX_TILES) return;
      if (!used.has(tile)) this.#tiles.delete(key);
    }
  }

  #paint(tile, edges) {
    const { x0, y0, x1, y1 } = tile.dirty;
    const pixels = new ImageData(x1 - x0, y1 - y0);
    const words = new Uint32Array(pixels.data.buffer);
    const stride = 2 ** tile.level;
    let i = 0;
    for (let v = y0; v < y1; v++) {
      const top = (tile.y + v) * stride;
      for (let u = x0; u < x1; u++, i++)
        words[i] = this.#word((tile.x + u) * stride, top, stride, edges);
    }
    tile.canvas.getContext("2d").putImageData(pixels, x0, y0);
    tile.dirty = null;
  }

  /** What stands for the stride x stride pixels from (left, top) on. */
  #word(left, top, stride, edges) {
    const { labels, width, height } = this.#image;
    if (left >= width || top >= height) return 0;
    const half = stride >> 1;
    const x = Math.min(left + half, width - 1);
    const y = Math.min(top + half, height - 1);
    const i = y * width + x;
    const id = labels[i];
    if (id === 0) return 0;
    const step = half || 1;
    const inner =
      !edges ||
      (x >= step &&
        y >= step &&
        x + step < width &&
        y + step < height &&
        labels[i - step] === id &&
        labels[i + step] === id &&
        labels[i - step * width] === id &&
        labels[i + step * width] === id);
    const colours = this.#coloursOf(id);
    return inner ? colours.fill : colours.edge;
  }

  #coloursOf(id) {
    let colours = this.#colours.get(id);
    if (colours === undefined) {
      colours = { fill: word(colourOf(id), FILL_ALPHA), edge: word(colourOf(id), EDGE_ALPHA) };
      this.#colours.set(id, colours);
    }
    return colours;
  }
}

/** The power of two by which tiles are smaller than the image: next to the screen's resolution. */
function levelOf(scale) {
  return Math.max(0, Math.round(-Math.log2(scale)));
}

/** A pixel of ImageData, as a little-endian word. */
function word([red, green, blue], alpha) {
  return ((Math.round(255 * alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
