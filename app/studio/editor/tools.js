/**
 * What the tools do. A tool is pressed at a pixel, moved to others and released; mouse, finger and
 * keyboard all work it in this way. Pixels may lie outside the image.
 *
 * @typedef {import("./raster.js").Point} Point
 * @typedef {import("./session.js").Session} Session
 * @typedef {ReturnType<Session["draw"]>} Edit
 */

import { polygon, stroke } from "./raster.js";

/** What there is to a tool; one that is no more than this leaves the mask alone. */
export class Tool {
  /** Whether a stroke or a polygon has been begun and not ended. */
  active = false;

  /** @param {Session} session */
  constructor(session) {
    this.session = session;
  }

  /** @param {Point} pixel @param {number} near a distance in pixels that counts as the same place */
  press(pixel, near) {}
  /** @param {Point} pixel the pointer is here now, pressed */
  move(pixel) {}
  release() {}
  /** Take back what the last press began: it was meant for something else. */
  abort() {}
  /** Give up what was begun. */
  cancel() {}
  /** End what takes several presses. */
  close() {}
}

/** Brush and eraser: a disc along the way. */
class StrokeTool extends Tool {
  #edit = null;
  #last = null;

  /** What a stroke begins. @returns {Edit | null} null: it cannot begin now */
  begin() {
    return null;
  }

  /** Make what a stroke changed a step of the history. @param {Edit} edit */
  end(edit) {}

  press(pixel) {
    this.release(); // two strokes at a time would not be two steps of the history
    this.#edit = this.begin();
    if (this.#edit === null) return;
    this.active = true;
    this.#last = pixel;
    this.#paint(pixel);
  }

  move(pixel) {
    if (!this.active || (pixel.x === this.#last.x && pixel.y === this.#last.y)) return;
    this.#paint(pixel);
    this.#last = pixel;
  }

  release() {
    if (!this.active) return;
    this.active = false;
    this.end(this.#edit);
  }

  abort() {
    if (!this.active) return;
    this.active = false;
    this.session.discard(this.#edit);
  }

  cancel() {
    if (!this.active) return;
    this.abort();
    this.session.say("The stroke was taken back.");
  }

  #paint(pixel) {
    this.session.fill(this.#edit, stroke(this.#last, pixel, this.session.settings.radius));
  }
}

export class BrushTool extends StrokeTool {
  begin() {
    return this.session.draw();
  }

  end(edit) {
    finishDrawing(this.session, edit);
  }
}

export class EraseTool extends StrokeTool {
  begin() {
    const edit = this.session.erase();
    if (edit === null) this.session.say("No nucleus is selected. Select the one to erase from.");
    return edit;
  }

  end(edit) {
    if (!this.session.finish(edit, "Erased")) this.session.say("There was nothing to erase here.");
  }
}

/** Corners one by one; a press on the first, a double press or `close` ends it. */
export class PolygonTool extends Tool {
  /** @type {Point[]} */
  corners = [];
  #pressed = false;

  press(pixel, near) {
    const { corners } = this;
    if (corners.length >= 3 && within(pixel, corners[0], near)) return this.close();
    // The second press of a double press adds nothing.
    if (corners.length > 0 && within(pixel, corners.at(-1), near)) return undefined;
    corners.push(pixel);
    this.active = true;
    this.#pressed = true;
    return undefined;
  }

  move(pixel) {
    if (this.#pressed) this.corners[this.corners.length - 1] = pixel;
  }

  release() {
    if (this.#pressed) this.#tell();
    this.#pressed = false;
  }

  abort() {
    if (this.#pressed) this.corners.pop();
    this.#pressed = false;
    this.active = this.corners.length > 0;
  }

  cancel() {
    if (!this.active) return;
    this.#reset();
    this.session.say("The polygon was given up.");
  }

  removeLast() {
    if (this.corners.pop() === undefined) return;
    this.active = this.corners.length > 0;
    this.#tell();
  }

  close() {
    if (this.corners.length < 3) {
      this.session.say("A polygon needs at least three corners.");
      return;
    }
    const edit = this.session.draw();
    this.session.fill(edit, polygon(this.corners));
    this.#reset();
    finishDrawing(this.session, edit);
  }

  #reset() {
    this.corners = [];
    this.#pressed = false;
    this.active = false;
    this.session.toolChanged();
  }

  #tell() {
    const { corners, session } = this;
    session.toolChanged();
    if (corners.length === 0) session.say("No corner is left.");
    else session.say(`Corner ${corners.length} at ${corners.at(-1).x}, ${corners.at(-1).y}.`);
  }
}

export class SelectTool extends Tool {
  press(pixel) {
    const { session } = this;
    const id = session.image.at(pixel.x, pixel.y);
    session.select(id);
    session.say(id === 0 ? "Background: nothing is selected." : describe(session, id));
  }
}

/** Moving the view is the pointer's and the keyboard's business: this tool leaves the mask alone. */
export class PanTool extends Tool {}

/** @param {Session} session @param {number} id of a nucleus */
export function describe(session, id) {
  return `Nucleus ${id} selected, ${session.image.pixels(id).toLocaleString("en-GB")} pixels.`;
}

function finishDrawing(session, edit) {
  const added = edit.value === session.selected && session.settings.addToSelected;
  const title = added ? `Nucleus ${edit.value} extended` : `Nucleus ${edit.value} drawn`;
  if (!session.finish(edit, title)) {
    session.say("Nothing was drawn: all pixels here belong to nuclei already or lie outside.");
  }
}

function within(a, b, distance) {
  return Math.hypot(a.x - b.x, a.y - b.y) <= distance;
}
