/**
 * Which part of the image is seen, and how large: a scale and the place of the image's top left
 * corner in the viewport, both in CSS pixels.
 *
 * @typedef {import("./label-image.js").Rect} Rect
 */

const MAX_SCALE = 64;
const FIT_MARGIN = 16;
const WHOLE_WITHIN = 1.1; // how much smaller an image may be shown so that its pixels are equal
const KEPT_IN_SIGHT = 48;

export class View {
  scale = 1;
  x = 0;
  y = 0;
  /** Whether the whole image is to be seen, also after the viewport has changed its size. */
  fitted = true;
  #viewport = { width: 0, height: 0 };
  #image = { width: 1, height: 1 };

  get viewport() {
    return this.#viewport;
  }

  setViewport(width, height) {
    this.#viewport = { width, height };
    if (this.fitted) this.fit();
    else this.#keepInSight();
  }

  setImage(width, height) {
    this.#image = { width, height };
    this.fit();
  }

  /** All of the image, in the middle. */
  fit() {
    this.fitted = true;
    this.scale = this.#fitScale();
    this.#centre();
  }

  /** One pixel of the image is one pixel of the page, around the middle of what is seen now. */
  actualSize() {
    this.zoomBy(1 / this.scale);
  }

  /** Zoom around a place of the viewport, its middle if none is given. */
  zoomBy(factor, px = this.#viewport.width / 2, py = this.#viewport.height / 2) {
    const smallest = Math.min(this.#fitScale(), 1) / 2;
    const scale = Math.min(Math.max(this.scale * factor, smallest), MAX_SCALE);
    this.x = px - ((px - this.x) * scale) / this.scale;
    this.y = py - ((py - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.#keepInSight();
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.#keepInSight();
  }

  /** The pixel of the image under a place of the viewport; it may lie outside the image. */
  pixelAt(px, py) {
    return {
      x: Math.floor((px - this.x) / this.scale),
      y: Math.floor((py - this.y) / this.scale),
    };
  }

  /** Where the middle of a pixel of the image is in the viewport. */
  placeOf({ x, y }) {
    return { x: this.x + (x + 0.5) * this.scale, y: this.y + (y + 0.5) * this.scale };
  }

  /** Pan as little as is needed for a pixel to be seen. Returns whether it was needed. */
  reveal(pixel) {
    const { x, y } = this.placeOf(pixel);
    const { width, height } = this.#viewport;
    const margin = Math.min(KEPT_IN_SIGHT, width / 4, height / 4);
    const dx = Math.min(Math.max(x, margin), width - margin) - x;
    const dy = Math.min(Math.max(y, margin), height - margin) - y;
    if (this.fitted || (dx === 0 && dy === 0)) return false;
    this.panBy(dx, dy);
    return true;
  }

  /** The part of the image in the viewport, whole pixels. @returns {Rect} */
  visible() {
    const from = this.pixelAt(0, 0);
    const to = this.pixelAt(this.#viewport.width, this.#viewport.height);
    return {
      x0: Math.max(from.x, 0),
      y0: Math.max(from.y, 0),
      x1: Math.min(to.x + 1, this.#image.width),
      y1: Math.min(to.y + 1, this.#image.height),
    };
  }

  #fitScale() {
    const width = Math.max(this.#viewport.width - 2 * FIT_MARGIN, 1);
    const height = Math.max(this.#viewport.height - 2 * FIT_MARGIN, 1);
    const scale = Math.min(width / this.#image.width, height / this.#image.height, MAX_SCALE);
    const whole = Math.floor(scale);
    return scale <= whole * WHOLE_WITHIN ? whole : scale;
  }

  #centre() {
    this.x = Math.round((this.#viewport.width - this.#image.width * this.scale) / 2);
    this.y = Math.round((this.#viewport.height - this.#image.height * this.scale) / 2);
  }

  /** No image may be pushed out of the viewport. */
  #keepInSight() {
    const hold = (place, viewport, size) => {
      const kept = Math.min(KEPT_IN_SIGHT, size, viewport);
      return Math.min(Math.max(place, kept - size), viewport - kept);
    };
    this.x = hold(this.x, this.#viewport.width, this.#image.width * this.scale);
    this.y = hold(this.y, this.#viewport.height, this.#image.height * this.scale);
  }
}
