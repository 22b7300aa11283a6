/**
 * A mask being edited: ids, history, the selected nucleus and how the tools are set. It knows
 * nothing of the screen.
 *
 * Events: "labels" (ids changed; detail is the rectangle), "change" (a step was made, undone or
 * redone, or another mask loaded), "select", "settings", "tool", "message" (detail says in words what
 * happened).
 *
 * @typedef {import("./label-image.js").Rect} Rect
 * @typedef {object} Settings
 * @property {number} radius of brush and eraser in pixels, 0 to MAX_RADIUS
 * @property {boolean} addToSelected draw into the selected nucleus instead of making a new one
 * @property {boolean} overwrite draw over other nuclei as well
 * @property {boolean} eraseSelectedOnly erase nothing but the selected nucleus
 */

import { History } from "./history.js";
import { LabelImage } from "./label-image.js";

export const MAX_RADIUS = 64;

export class Session extends EventTarget {
  history = new History();
  image = new LabelImage(new Int32Array(1), 1, 1);
  selected = 0;
  hovered = 0;
  /** @type {Settings} */
  settings = { radius: 6, addToSelected: false, overwrite: false, eraseSelectedOnly: false };

  /** @param {LabelImage} image edited from now on; the history begins anew */
  open(image) {
    this.image = image;
    this.history.clear();
    this.selected = 0;
    this.hovered = 0;
    this.#emit("select");
    this.#emit("change");
  }

  /** @param {Partial<Settings>} changes */
  set(changes) {
    Object.assign(this.settings, changes);
    this.settings.radius = Math.min(Math.max(this.settings.radius, 0), MAX_RADIUS);
    this.#emit("settings");
  }

  /** The tool in hand has begun or ended something that is no change of the mask yet. */
  toolChanged() {
    this.#emit("tool");
  }

  say(message) {
    this.#emit("message", message);
  }

  select(id) {
    if (id === this.selected) return;
    this.selected = id;
    this.#emit("select");
  }

  hover(id) {
    if (id === this.hovered) return;
    this.hovered = id;
    this.#emit("select");
  }

  /** Begin to draw a nucleus: a new one, or more of the selected one. */
  draw() {
    const id = this.settings.addToSelected && this.selected ? this.selected : this.image.nextId();
    return this.image.edit(id, this.settings.overwrite ? null : 0);
  }

  /** Begin to erase; null if only the selected nucleus may be and there is none. */
  erase() {
    const { eraseSelectedOnly } = this.settings;
    if (eraseSelectedOnly && this.selected === 0) return null;
    return this.image.edit(0, eraseSelectedOnly ? this.selected : null);
  }

  /** Give pixels the value of an edit. @param {import("./raster.js").Spans} spans */
  fill(edit, spans) {
    this.#changed(edit.fill(spans));
  }

  /** What was drawn becomes a step of the history; `title` tells it. Nothing drawn, no step. */
  finish(edit, title) {
    const change = edit.finish();
    if (change === null) return false;
    this.history.push({ ...change, title });
    if (change.value !== 0) this.select(change.value);
    else this.#dropSelection();
    this.#emit("change");
    this.say(
      `${title}, ${count(change.pixels, "pixel")}. ${count(this.image.nuclei, "nucleus")} in all.`,
    );
    return true;
  }

  /** What was drawn is taken back as if it had not been. */
  discard(edit) {
    const change = edit.finish();
    if (change === null) return;
    this.image.revert(change);
    this.#changed(change.rect);
  }

  deleteSelected() {
    const id = this.selected;
    if (id === 0) {
      this.say("No nucleus is selected. Select one first, then delete it.");
      return;
    }
    const { x0, y0, x1, y1 } = this.image.extent(id);
    const edit = this.image.edit(0, id);
    for (let y = y0; y < y1; y++) edit.fill([y, x0, x1 - 1]);
    this.#changed({ x0, y0, x1, y1 });
    this.finish(edit, `Nucleus ${id} deleted`);
  }

  undo() {
    const step = this.history.undo();
    if (step === null) return this.say("There is nothing to undo.");
    this.image.revert(step);
    this.#stepped(step, "Undone");
  }

  redo() {
    const step = this.history.redo();
    if (step === null) return this.say("There is nothing to redo.");
    this.image.repeat(step);
    this.#stepped(step, "Redone");
  }

  /** Select the next nucleus in the order of ids, or the previous one. Returns its id or 0. */
  selectNext(direction) {
    const ids = this.image.ids();
    if (ids.length === 0) {
      this.say("There is no nucleus yet.");
      return 0;
    }
    const after = ids.findIndex((id) => id > this.selected);
    const next = after === -1 ? 0 : after;
    const before = (after === -1 ? ids.length : after) - (this.image.has(this.selected) ? 2 : 1);
    this.select(direction > 0 ? ids[next] : ids.at(before));
    return this.selected;
  }

  #stepped(step, word) {
    this.#changed(step.rect);
    this.#dropSelection();
    this.#emit("change");
    this.say(`${word}: ${step.title}. ${count(this.image.nuclei, "nucleus")} in all.`);
  }

  /** Only what exists can be selected. */
  #dropSelection() {
    if (!this.image.has(this.selected)) this.select(0);
  }

  #changed(rect) {
    if (rect !== null) this.#emit("labels", rect);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const PLURALS = { nucleus: "nuclei", pixel: "pixels" };

/** "1 pixel", "12,345 pixels". */
export function count(number, noun) {
  return `${number.toLocaleString("en-GB")} ${number === 1 ? noun : PLURALS[noun]}`;
}
