/**
 * The canvases and what is drawn on them: below, the underlay and the mask; above, whatever
 * belongs to the tool in hand. Everything is drawn once per frame at most.
 *
 * @typedef {import("./label-image.js").Rect} Rect
 * @typedef {import("./label-image.js").LabelImage} LabelImage
 */

import { element } from "./dom.js";
import { intersection, union } from "./label-image.js";
import { MaskLayer } from "./mask-layer.js";
import { View } from "./view.js";

export class Stage extends EventTarget {
  view = new View();
  /** @type {ImageBitmap | null} */
  underlay = null;
  underlayOpacity = 1;
  /** Of the nuclei over an underlay. */
  maskOpacity = 0.7;
  /** Draws above the mask. @type {(context: CanvasRenderingContext2D, view: View) => void} */
  drawOverlay = () => {};

  #layer = null;
  #image = null;
  #ratio = 1;
  #frame = 0;
  #all = true;
  /** @type {Rect | null} */
  #dirty = null;
  #host;

  /** @param {HTMLElement} host takes the canvases; "view" is dispatched when scale or place change */
  constructor(host) {
    super();
    this.paper = element("div", { className: "me-paper" });
    this.base = element("canvas", { className: "me-canvas", ariaHidden: "true" });
    this.canvas = element("canvas", { className: "me-canvas me-canvas-top", tabIndex: 0 });
    host.append(this.paper, this.base, this.canvas);
    this.#host = host;
    new ResizeObserver(() => this.measure()).observe(host);
  }

  /** @param {LabelImage} image */
  setImage(image) {
    this.#image = image;
    this.#layer = new MaskLayer(image);
    this.view.setImage(image.width, image.height);
    this.viewChanged();
  }

  /** Scale, place or opacity have changed: all is drawn again. */
  viewChanged() {
    this.#all = true;
    this.#schedule();
    this.dispatchEvent(new Event("view"));
  }

  /** Ids in this part of the image have changed. @param {Rect} rect */
  labelsChanged(rect) {
    this.#layer.invalidate(rect);
    this.#dirty = union(this.#dirty, rect);
    this.#schedule();
  }

  overlayChanged() {
    this.#schedule();
  }

  /**
   * Take the size that the host has now. It is watched, but a page at work hears of it late. While it
   * is not shown it has none, and what was seen of the image stays.
   */
  measure() {
    const { clientWidth: width, clientHeight: height } = this.#host;
    if (width === 0 || height === 0) return;
    this.#ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.canvas]) {
      canvas.width = Math.round(width * this.#ratio);
      canvas.height = Math.round(height * this.#ratio);
    }
    this.view.setViewport(width, height);
    this.viewChanged();
    // A canvas that got a new size is empty; without this it would be seen so for a frame.
    cancelAnimationFrame(this.#frame);
    this.#draw();
  }

  #schedule() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (this.#image === null || this.view.viewport.width === 0) return;
    if (this.#host.clientWidth === 0) return; // drawn when it is shown
    if (this.#all) this.#drawBase(this.view.visible());
    else if (this.#dirty !== null) this.#drawBase(this.#dirty);
    if (this.#all) this.#placePaper();
    this.#all = false;
    this.#dirty = null;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    this.drawOverlay(context, this.view);
  }

  /** @param {Rect} part of the image; what is around it stays as it is, unless all is drawn */
  #drawBase(part) {
    const context = this.base.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.save();
    let region = part;
    if (this.#all) {
      context.clearRect(0, 0, this.base.width, this.base.height);
    } else {
      const scale = this.view.scale * this.#ratio;
      const cleared = grown(part, MaskLayer.reach(scale));
      this.#clip(context, cleared);
      // Drawn beyond what is cleared, so that the cleared part has no bare rim.
      region = grown(cleared, Math.ceil(6 / scale));
    }
    region = intersection(region, this.view.visible());
    if (region !== null) {
      this.#drawUnderlay(context);
      context.globalAlpha = this.underlay === null ? 1 : this.maskOpacity;
      this.#layer.draw(context, this.view, this.#ratio, region, this.underlay !== null);
    }
    context.restore();
  }

  #clip(context, region) {
    const scale = this.view.scale * this.#ratio;
    const x = Math.floor(this.view.x * this.#ratio + region.x0 * scale) - 2;
    const y = Math.floor(this.view.y * this.#ratio + region.y0 * scale) - 2;
    const width = Math.ceil((region.x1 - region.x0) * scale) + 5;
    const height = Math.ceil((region.y1 - region.y0) * scale) + 5;
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.clearRect(x, y, width, height);
  }

  #drawUnderlay(context) {
    if (this.underlay === null) return;
    const { view } = this;
    const scale = view.scale * this.#ratio;
    context.globalAlpha = this.underlayOpacity;
    context.imageSmoothingEnabled = scale < 2 && scale !== 1;
    context.imageSmoothingQuality = "medium";
    const [x, y] = [Math.round(view.x * this.#ratio), Math.round(view.y * this.#ratio)];
    const width = Math.round(this.#image.width * scale);
    context.drawImage(this.underlay, x, y, width, Math.round(this.#image.height * scale));
  }

  #placePaper() {
    const { scale, x, y } = this.view;
    const { style } = this.paper;
    style.transform = `translate(${x}px, ${y}px)`;
    style.width = `${this.#image.width * scale}px`;
    style.height = `${this.#image.height * scale}px`;
  }
}

/** @param {Rect} rect @param {number} by pixels on every side @returns {Rect} */
function grown({ x0, y0, x1, y1 }, by) {
  return { x0: x0 - by, y0: y0 - by, x1: x1 + by, y1: y1 + by };
}
