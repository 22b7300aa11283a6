/**
 * Mouse, pen and fingers on the canvas. One pointer works the tool; two fingers move and zoom the
 * view, and what the first one had begun is taken back.
 *
 * @typedef {object} PointerTarget what the pointers work on
 * @property {import("./stage.js").Stage} stage
 * @property {() => import("./tools.js").Tool} tool the tool in hand
 * @property {() => boolean} panning whether that tool moves the view
 * @property {() => void} takeOver a pointer works the tool now and not the keyboard
 * @property {(pixel: import("./raster.js").Point | null) => void} hover the pointer is here, or gone
 */

// What counts as the same place, in CSS pixels: a finger is less exact.
const SAME_PLACE = { mouse: 6, pen: 8, touch: 16 };

export class PointerInput {
  #target;
  #fingers = new Map();
  /** Where on the page a pointer was last, when it was not pressed or no longer. */
  #seen = { x: NaN, y: NaN };
  /** "tool", "pan", "pinch" or "wait" (for all fingers to be lifted) */
  #doing = null;

  /** @param {PointerTarget} target */
  constructor(target) {
    this.#target = target;
    const { canvas } = target.stage;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#up(event, true));
    // The last that is heard of a pointer whose release went elsewhere.
    canvas.addEventListener("lostpointercapture", (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => target.hover(null));
    canvas.addEventListener("dblclick", () => target.tool().close());
    // The middle button pans here, and must not scroll the page as well.
    canvas.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener(
      "contextmenu",
      (event) => this.#fingers.size > 0 && event.preventDefault(),
    );
  }

  #down(event) {
    const { stage, tool, panning } = this.#target;
    if (event.pointerType === "mouse" && event.button > 1) return;
    stage.canvas.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, this.#place(event));
    if (this.#fingers.size > 1) {
      if (this.#doing === "tool") tool().abort();
      this.#doing = this.#fingers.size === 2 ? "pinch" : "wait";
      stage.overlayChanged();
    } else if (event.button === 1 || panning()) {
      this.#doing = "pan";
    } else {
      this.#doing = "tool";
      const pixel = this.#pixel(event);
      this.#target.takeOver();
      this.#target.hover(pixel);
      tool().press(pixel, (SAME_PLACE[event.pointerType] ?? 6) / stage.view.scale);
      stage.overlayChanged();
    }
  }

  #move(event) {
    const { stage, tool, hover } = this.#target;
    const before = this.#fingers.get(event.pointerId);
    if (before === undefined) {
      // A mouse at rest is also reported, when the page moves beneath it: the crosshair stays.
      const { clientX: x, clientY: y } = event;
      if (x !== this.#seen.x || y !== this.#seen.y) hover(this.#pixel(event));
      this.#seen = { x, y };
      return;
    }
    const place = this.#place(event);
    if (this.#doing === "pinch") this.#pinch(event.pointerId, before, place);
    this.#fingers.set(event.pointerId, place);
    if (this.#doing === "pan") {
      stage.view.panBy(place.x - before.x, place.y - before.y);
      stage.viewChanged();
    } else if (this.#doing === "tool") {
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const one of passed.length > 0 ? passed : [event]) tool().move(this.#pixel(one));
    }
    hover(this.#pixel(event));
  }

  #up(event, cancelled = false) {
    if (!this.#fingers.delete(event.pointerId)) return;
    this.#seen = { x: event.clientX, y: event.clientY };
    if (this.#doing === "tool") {
      if (cancelled) this.#target.tool().abort();
      else this.#target.tool().release();
    }
    this.#doing = this.#fingers.size > 0 ? "wait" : null;
    if (event.pointerType === "touch") this.#target.hover(null);
    this.#target.stage.overlayChanged();
  }

  /** One of two fingers has moved: the place between them moves along, their distance zooms. */
  #pinch(id, before, place) {
    const { stage } = this.#target;
    const [other] = [...this.#fingers].filter(([key]) => key !== id).map(([, value]) => value);
    const middle = { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 };
    stage.view.panBy((place.x - before.x) / 2, (place.y - before.y) / 2);
    const factor = distance(place, other) / Math.max(distance(before, other), 1);
    stage.view.zoomBy(Math.max(factor, 0.1), middle.x, middle.y);
    stage.viewChanged();
  }

  #wheel(event) {
    event.preventDefault();
    const { stage, hover } = this.#target;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const { x, y } = this.#place(event);
    const delta = Math.min(Math.max(event.deltaY * lines, -240), 240);
    stage.view.zoomBy(2 ** (-delta / (event.ctrlKey ? 120 : 240)), x, y);
    stage.viewChanged();
    hover(this.#pixel(event));
  }

  #place(event) {
    const box = this.#target.stage.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #pixel(event) {
    const { x, y } = this.#place(event);
    return this.#target.stage.view.pixelAt(x, y);
  }
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
