/**
 * The keyboard: keys of tools and commands anywhere in the editor, and on the canvas a crosshair
 * that does what a pointer does.
 *
 * @typedef {import("./raster.js").Point} Point
 */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAN_STEP = 40; // CSS pixels

export class KeyboardInput {
  #editor;
  /** The crosshair, from the first key on. @type {Point | null} */
  cursor = null;
  #began = false;

  /**
   * @param {HTMLElement} root the editor: keys of tools and commands work in all of it
   * @param {object} editor see mask-editor.js
   */
  constructor(root, editor) {
    this.#editor = editor;
    root.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.altKey) return;
      const onCanvas = event.target === editor.stage.canvas;
      const done =
        event.ctrlKey || event.metaKey
          ? this.#withControl(event)
          : (onCanvas && this.#onCanvas(event)) || this.#anywhere(event);
      if (done) event.preventDefault();
    });
  }

  /** Whether a stroke that the keyboard began goes on. */
  get stroking() {
    const { tool } = this.#editor;
    return this.#began && tool.active && tool.corners === undefined;
  }

  /** End that stroke, as the keyboard goes elsewhere or a pointer is pressed. */
  endStroke() {
    if (this.stroking) this.#editor.tool.release();
    this.#began = false;
  }

  #withControl(event) {
    const key = event.key.toLowerCase();
    if (key === "z") this.#editor.run(event.shiftKey ? "redo" : "undo");
    else if (key === "y") this.#editor.run("redo");
    else return false;
    return true;
  }

  #anywhere(event) {
    const name = this.#editor.commandOfKey(event.key);
    if (name === null || isTyping(event.target)) return false;
    this.#editor.run(name);
    return true;
  }

  #onCanvas(event) {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      const step = event.shiftKey ? 10 : 1;
      this.#arrow(arrow[0] * step, arrow[1] * step);
    } else if (event.key === " " || event.key === "Enter") {
      if (!event.repeat) this.#act(event.key);
    } else if (
      event.key === "Backspace" &&
      this.#editor.tool.removeLast &&
      this.#editor.tool.active
    ) {
      this.#editor.tool.removeLast();
    } else if (event.key.toLowerCase() === "n") {
      this.#visit(this.#editor.session.selectNext(event.shiftKey ? -1 : 1));
    } else {
      return false;
    }
    this.#editor.stage.overlayChanged();
    return true;
  }

  #arrow(dx, dy) {
    const { stage, panning } = this.#editor;
    if (panning) {
      stage.view.panBy(-dx * PAN_STEP, -dy * PAN_STEP);
      stage.viewChanged();
      return;
    }
    const { x, y } = this.#place();
    this.#moveTo({ x: x + dx, y: y + dy });
  }

  /** Begin or end a stroke, set a corner, select: what a press of the pointer does. */
  #act(key) {
    const { tool } = this.#editor;
    this.#moveTo(this.#place());
    if (tool.corners !== undefined) {
      if (key === "Enter" && tool.corners.length >= 3) {
        tool.close();
        return;
      }
      tool.press(this.cursor, 0);
      tool.release();
    } else if (tool.active) {
      tool.release();
    } else {
      tool.press(this.cursor, 0);
      this.#began = tool.active;
      if (tool.active) this.#editor.session.say("Stroke begun. Arrow keys draw, Space ends it.");
    }
  }

  #visit(id) {
    if (id === 0) return;
    const { image } = this.#editor.session;
    const { x0, y0, x1, y1 } = image.extent(id);
    // A pixel of its own, as the middle of a nucleus may lie outside it.
    const y = Math.floor((y0 + y1 - 1) / 2);
    const own = (row) => {
      for (let x = x0; x < x1; x++) if (image.at(x, row) === id) return { x, y: row };
      return null;
    };
    let place = own(y);
    for (let row = y0; place === null && row < y1; row++) place = own(row);
    this.#moveTo(place);
    this.#editor.tellSelected();
  }

  /** Where the crosshair is, or where it appears: in the middle of what is seen. */
  #place() {
    if (this.cursor !== null) return this.cursor;
    const { x0, y0, x1, y1 } = this.#editor.stage.view.visible();
    return { x: Math.floor((x0 + x1) / 2), y: Math.floor((y0 + y1) / 2) };
  }

  #moveTo({ x, y }) {
    const { stage, session, tool } = this.#editor;
    const { width, height } = session.image;
    this.cursor = {
      x: Math.min(Math.max(x, 0), width - 1),
      y: Math.min(Math.max(y, 0), height - 1),
    };
    if (tool.active && tool.corners === undefined) tool.move(this.cursor);
    if (stage.view.reveal(this.cursor)) stage.viewChanged();
    this.#editor.cursorMoved(this.cursor);
  }
}

/** Keys that are letters belong to whoever is being written into. */
function isTyping(target) {
  return target instanceof HTMLInputElement && !["range", "checkbox"].includes(target.type);
}
