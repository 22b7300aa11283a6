/**
 * A tile with the mask, or the style, laid over it up to a divider; outlines of the nuclei above.
 *
 * The picture is drawn anew from ids and pixels at every zoom, so that outlines stay sharp.
 */

import { element } from "../editor/dom.js";
import { LabelImage } from "../editor/label-image.js";
import { MaskLayer } from "../editor/mask-layer.js";
import { outlines } from "../editor/outlines.js";
import { View } from "../editor/view.js";

const NEAR_PX = 24; // of the divider, to take hold of it
const STEP_PX = 40;
const ZOOM_STEP = Math.SQRT2;
const OUTLINE_PX = 1.75;
const OUTLINE = "#00d68f"; // green: neither haematoxylin nor eosin has it

/** Dispatches "view" when the zoom has changed, and "divide" when the divider was dragged. */
export class Compare extends EventTarget {
  view = new View();
  /** Share of the picture to the left of the divider, 0 to 1. */
  divider = 0.5;
  /** @type {"mask" | "style"} */
  against = "mask";
  /** Opacity of the outlines on the tile, 0 to 1; 0 draws none. */
  outlineOpacity = 0;
  /** What the tile is compared with where it is not the mask. @type {ImageBitmap | null} */
  style = null;

  #host;
  #canvas = element("canvas", {
    tabIndex: 0,
    role: "img",
    ariaDescription: "Plus, minus and 0 zoom; the arrow keys move the picture.",
  });
  #content = null;
  #frame = 0;

  /** @param {HTMLElement} host */
  constructor(host) {
    super();
    this.#host = host;
    host.append(this.#canvas);
    new ResizeObserver(() => this.#resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    addEventListener("themechange", () => this.redraw());
    this.#listenToPointer();
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /**
   * @param {object} content
   * @param {Int32Array} content.labels width * height ids
   * @param {number} content.width
   * @param {number} content.height
   * @param {ImageBitmap} content.tile of that size
   * @param {string} label what is seen, for those who do not see it
   */
  show({ labels, width, height, tile }, label) {
    const sameSize = this.#content?.width === width && this.#content?.height === height;
    const layer = new MaskLayer(new LabelImage(labels, width, height));
    this.#content = { width, height, tile, layer, path: outlines(labels, width, height) };
    this.#canvas.ariaLabel = label;
    if (!sameSize) this.view.setImage(width, height);
    this.#changed();
  }

  zoomBy(factor) {
    this.view.zoomBy(factor);
    this.#changed();
  }

  fit() {
    this.view.fit();
    this.#changed();
  }

  redraw() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #changed() {
    // Fitted, the picture lets a finger scroll the page; else the finger moves the picture.
    this.#canvas.classList.toggle("movable", !this.view.fitted);
    this.redraw();
    this.dispatchEvent(new Event("view"));
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#host;
    if (width === 0 || height === 0) return; // not shown now
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.view.setViewport(width, height);
    cancelAnimationFrame(this.#frame);
    this.#draw(); // at once: a canvas of a new size is empty
    this.dispatchEvent(new Event("view"));
  }

  /** The part of the picture that is seen, from left to right, in CSS pixels. */
  #span() {
    const right = this.view.x + this.#content.width * this.view.scale;
    return { left: Math.max(this.view.x, 0), right: Math.min(right, this.view.viewport.width) };
  }

  #dividerX() {
    const { left, right } = this.#span();
    return left + this.divider * (right - left);
  }

  #draw() {
    this.#frame = 0;
    if (this.#content === null || this.#canvas.width === 0) return;
    const { tile, path, width, height } = this.#content;
    const ratio = this.#canvas.width / this.view.viewport.width;
    const context = this.#canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const scale = this.view.scale * ratio;
    const [x, y] = [Math.round(this.view.x * ratio), Math.round(this.view.y * ratio)];
    const place = [x, y, Math.round(width * scale), Math.round(height * scale)];
    context.imageSmoothingEnabled = scale < 4; // from there on the pixels themselves are looked at
    context.imageSmoothingQuality = "high";
    context.drawImage(tile, ...place);
    if (this.outlineOpacity > 0) this.#drawOutlines(context, path, place, scale, ratio);
    this.#drawLeft(context, place, ratio);
    this.#drawDivider(context, ratio, place);
  }

  #drawOutlines(context, path, place, scale, ratio) {
    context.save();
    context.beginPath();
    context.rect(...place);
    context.clip();
    context.setTransform(scale, 0, 0, scale, place[0], place[1]);
    context.globalAlpha = this.outlineOpacity;
    context.lineCap = "square";
    context.strokeStyle = OUTLINE;
    context.lineWidth = (OUTLINE_PX * ratio) / scale;
    context.stroke(path);
    context.restore();
  }

  #drawLeft(context, place, ratio) {
    const { layer } = this.#content;
    context.save();
    context.beginPath();
    context.rect(0, 0, Math.round(this.#dividerX() * ratio), this.#canvas.height);
    context.clip();
    context.fillStyle = getComputedStyle(this.#canvas).backgroundColor;
    context.fillRect(...place);
    if (this.against === "mask") layer.draw(context, this.view, ratio, this.view.visible());
    else if (this.style !== null) drawCovering(context, this.style, place);
    context.restore();
  }

  #drawDivider(context, ratio, [, y, , height]) {
    const x = Math.round(this.#dividerX() * ratio);
    const top = Math.max(y, 0);
    const bottom = Math.min(y + height, this.#canvas.height);
    context.fillStyle = "#fff";
    context.fillRect(x - 1.5 * ratio, top, 3 * ratio, bottom - top);
    context.beginPath();
    context.arc(x, (top + bottom) / 2, 15 * ratio, 0, 2 * Math.PI);
    context.shadowColor = "#0006";
    context.shadowBlur = 6 * ratio;
    context.fill();
    context.shadowBlur = 0;
    context.strokeStyle = "#3b2a73";
    context.lineWidth = 2 * ratio;
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x + side * 4 * ratio, (top + bottom) / 2 - 5 * ratio);
      context.lineTo(x + side * 9 * ratio, (top + bottom) / 2);
      context.lineTo(x + side * 4 * ratio, (top + bottom) / 2 + 5 * ratio);
    }
    context.stroke();
  }

  /** Near the divider, or where all of the picture is seen, the divider is dragged; else the view. */
  #listenToPointer() {
    let drag = null;
    this.#canvas.addEventListener("pointerdown", (event) => {
      if (this.#content === null || event.button !== 0) return;
      const near = Math.abs(event.offsetX - this.#dividerX()) < NEAR_PX;
      drag = { divides: near || this.view.fitted, x: event.offsetX, y: event.offsetY };
      this.#canvas.setPointerCapture(event.pointerId);
      if (drag.divides) this.#divideAt(event.offsetX);
    });
    this.#canvas.addEventListener("pointermove", (event) => {
      if (drag === null) return;
      if (drag.divides) this.#divideAt(event.offsetX);
      else {
        this.view.panBy(event.offsetX - drag.x, event.offsetY - drag.y);
        this.#changed();
      }
      Object.assign(drag, { x: event.offsetX, y: event.offsetY });
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.#canvas.addEventListener(end, () => (drag = null));
    }
    this.#canvas.addEventListener(
      "wheel",
      (event) => {
        if (this.#content === null || !(event.ctrlKey || event.metaKey)) return; // the page scrolls
        event.preventDefault();
        this.view.zoomBy(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
        this.#changed();
      },
      { passive: false },
    );
  }

  #divideAt(x) {
    const { left, right } = this.#span();
    this.divider = Math.min(Math.max((x - left) / (right - left), 0), 1);
    this.redraw();
    this.dispatchEvent(new Event("divide"));
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.#content === null) return;
    const pans = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key in pans) this.view.panBy(...pans[event.key].map((step) => step * STEP_PX));
    else if (event.key === "+" || event.key === "=") this.view.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.view.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.view.fit();
    else return;
    event.preventDefault();
    this.#changed();
  }
}

/** As CSS does it with `object-fit: cover`. */
function drawCovering(context, image, [x, y, width, height]) {
  const scale = Math.max(width / image.width, height / image.height);
  const [w, h] = [width / scale, height / scale];
  context.drawImage(image, (image.width - w) / 2, (image.height - h) / 2, w, h, x, y, width, height);
}
