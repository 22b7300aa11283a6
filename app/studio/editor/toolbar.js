/** The buttons and settings above the canvas. */

import { CANVAS_KEYS, COMMANDS, EDITING, TOOLS, VIEWING } from "./commands.js";
import { element, icon } from "./dom.js";
import { MAX_RADIUS } from "./session.js";

/**
 * @typedef {object} ToolbarTarget what the toolbar works on
 * @property {import("./session.js").Session} session
 * @property {import("./stage.js").Stage} stage
 * @property {string} toolName
 * @property {import("./tools.js").PolygonTool} polygon
 * @property {(command: string) => void} run
 */

export class Toolbar {
  #target;
  #buttons = new Map();

  /** @param {ToolbarTarget} target */
  constructor(target) {
    this.#target = target;
    this.element = element(
      "div",
      { className: "me-bar" },
      this.#group("Tools", TOOLS, "me-tools"),
      this.#group("Editing", EDITING, "me-editing"),
      this.#group("View", VIEWING, "me-viewing"),
    );
    this.#buildSettings();
    for (const type of ["settings", "select", "change", "tool"]) {
      target.session.addEventListener(type, () => this.update());
    }
    this.update();
  }

  /** What can be pressed and what is set, as it is now. */
  update() {
    const { session, toolName, polygon, stage } = this.#target;
    for (const name of Object.keys(TOOLS)) {
      this.#buttons.get(name).ariaPressed = String(name === toolName);
    }
    const can = {
      undo: session.history.canUndo,
      redo: session.history.canRedo,
      delete: session.selected !== 0,
      closePolygon: polygon.corners.length >= 3,
      removeCorner: polygon.active,
      cancel: polygon.active,
    };
    // Not `disabled`: a button that is would lose the focus as it is pressed for the last time.
    for (const [name, possible] of Object.entries(can)) {
      this.#buttons.get(name).ariaDisabled = String(!possible);
    }
    this.#updateSettings(session, toolName, stage);
  }

  #group(label, commands, className) {
    const buttons = Object.entries(commands).map(([name, command]) => this.#button(name, command));
    return element(
      "div",
      { className: `me-group ${className}`, role: "group", ariaLabel: label },
      ...buttons,
    );
  }

  #button(name, { label, shown, hint, icon: path, keys }) {
    const text = element("span", { className: "me-label" }, label);
    const button = element("button", {
      type: "button",
      className: "me-button",
      title: `${hint ?? label} (${shown})`,
      onclick: () => this.#target.run(name),
      attributes: { "data-command": name, "aria-keyshortcuts": ariaKeys(shown, keys) },
    });
    if (path !== undefined) button.append(icon(path));
    button.append(text);
    this.#buttons.set(name, button);
    return button;
  }

  #plainButton(name, label) {
    const onclick = () => this.#target.run(name);
    const button = element("button", { type: "button", className: "me-button", onclick }, label);
    button.dataset.command = name;
    this.#buttons.set(name, button);
    return button;
  }

  #buildSettings() {
    const { session, stage } = this.#target;
    this.radius = range("Radius", MAX_RADIUS, (value) => session.set({ radius: value }));
    this.addToSelected = checkbox("Add to the selected nucleus", (on) =>
      session.set({ addToSelected: on }),
    );
    this.overwrite = checkbox("Paint over other nuclei", (on) => session.set({ overwrite: on }));
    this.selectedOnly = checkbox("Only the selected nucleus", (on) =>
      session.set({ eraseSelectedOnly: on }),
    );
    this.corners = element(
      "div",
      { className: "me-group", role: "group", ariaLabel: "Polygon" },
      this.#plainButton("closePolygon", "Close polygon"),
      this.#plainButton("removeCorner", "Remove corner"),
      this.#plainButton("cancel", "Cancel"),
    );
    this.hint = element("p", { className: "me-hint" });
    const opacity = (name) => (value) => {
      stage[name] = value / 100;
      stage.viewChanged();
      this.update();
    };
    this.underlay = range("Image", 100, opacity("underlayOpacity"));
    this.mask = range("Nuclei", 100, opacity("maskOpacity"));
    this.opacities = element(
      "div",
      { className: "me-opacities", role: "group", ariaLabel: "Opacity" },
      this.underlay,
      this.mask,
    );
    this.settings = element(
      "div",
      { className: "me-settings", role: "group", ariaLabel: "Settings of the tool" },
      ...[this.hint, this.radius, this.corners, this.addToSelected, this.overwrite],
      ...[this.selectedOnly, this.opacities],
    );
  }

  #updateSettings(session, toolName, stage) {
    const draws = toolName === "brush" || toolName === "polygon";
    const { radius, addToSelected, overwrite, eraseSelectedOnly } = session.settings;
    show(this.radius, toolName === "brush" || toolName === "erase");
    show(this.corners, toolName === "polygon");
    show(this.addToSelected, draws);
    show(this.overwrite, draws);
    show(this.selectedOnly, toolName === "erase");
    show(this.hint, !draws && toolName !== "erase");
    show(this.opacities, stage.underlay !== null);
    this.hint.textContent =
      toolName === "pan"
        ? "Drag to move the view. Two fingers or the wheel zoom."
        : "Click a nucleus to select it. Delete removes it.";
    setRange(this.radius, radius, `${radius} px`);
    setRange(
      this.underlay,
      Math.round(stage.underlayOpacity * 100),
      `${Math.round(stage.underlayOpacity * 100)} %`,
    );
    setRange(
      this.mask,
      Math.round(stage.maskOpacity * 100),
      `${Math.round(stage.maskOpacity * 100)} %`,
    );
    this.addToSelected.box.checked = addToSelected;
    this.overwrite.box.checked = overwrite;
    this.selectedOnly.box.checked = eraseSelectedOnly;
  }
}

/** What the keys do, to be opened below the canvas. */
export function keyboardHelp() {
  const commands = Object.values(COMMANDS).map(({ label, hint, shown }) => [shown, hint ?? label]);
  const rows = [...CANVAS_KEYS, ...commands].flatMap(([key, does]) => [
    element("dt", {}, element("kbd", {}, key)),
    element("dd", {}, does),
  ]);
  return element(
    "details",
    { className: "me-help" },
    element("summary", {}, "Keyboard"),
    element("dl", {}, ...rows),
  );
}

function range(label, max, change) {
  const control = element("input", { type: "range", min: "0", max: String(max), step: "1" });
  const value = element("span", { className: "me-value", ariaHidden: "true" });
  control.addEventListener("input", () => change(control.valueAsNumber));
  const field = element(
    "label",
    { className: "me-range" },
    element("span", {}, label),
    control,
    value,
  );
  return Object.assign(field, { value, slider: control });
}

function setRange({ slider, value }, number, text) {
  slider.value = String(number);
  slider.setAttribute("aria-valuetext", text);
  value.textContent = text;
}

function checkbox(label, change) {
  const control = element("input", { type: "checkbox" });
  control.addEventListener("change", () => change(control.checked));
  return Object.assign(element("label", { className: "me-check" }, control, label), {
    box: control,
  });
}

function show(part, shown) {
  part.hidden = !shown;
}

function ariaKeys(shown, keys) {
  if (shown.startsWith("Ctrl")) return shown.replace("Ctrl", "Control");
  return keys
    .map((key) => (key === "+" ? "Plus" : key.length === 1 ? key.toUpperCase() : key))
    .join(" ");
}
