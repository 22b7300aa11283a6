/** The organs of a dataset, and what part of its tiles each gets. */

import { element } from "../editor/dom.js";
import { counted, isValid } from "../parts/inputs.js";
import { ServiceError } from "../service/service.js";

const HINT = "The number is a weight: an organ of weight 2 gets twice the tiles of one of weight 1.";
const NOT_LOADED = "The organs could not be loaded: the dataset takes all there are. Load the styles of the tile to choose.";

const $ = (id) => document.getElementById(id);

export class DatasetOrgans {
  #onChange;
  /** @type {Map<string, {box: HTMLInputElement, weight: HTMLInputElement, share: HTMLElement}>} */
  #rows = new Map();

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    $("dataset-organs-all").addEventListener("click", () => this.#choose(true));
    $("dataset-organs-none").addEventListener("click", () => this.#choose(false));
  }

  /** @param {string[]} organs there are */
  load(organs) {
    $("dataset-organ-list").replaceChildren(...organs.map((organ) => this.#row(organ)));
    $("dataset-organs-hint").textContent = organs.length === 0 ? NOT_LOADED : HINT;
    $("dataset-organs-all").hidden = $("dataset-organs-none").hidden = organs.length === 0;
    this.#onChange();
  }

  /** @returns {boolean} all weights are numbers; if not, the browser says so */
  isValid() {
    return isValid(...this.#chosen().map(([, { weight }]) => weight));
  }

  /** @returns {Record<string, number> | null} weights; null: all presets @throws {ServiceError} none */
  get value() {
    if (this.#rows.size === 0) return null;
    const weights = this.#chosen().map(([organ, { weight }]) => [organ, weight.valueAsNumber]);
    if (weights.some(([, weight]) => weight > 0)) return Object.fromEntries(weights);
    $("dataset-organ-list").querySelector("input").focus();
    throw new ServiceError("parameter_invalid", "Choose at least one organ, with a weight above 0.");
  }

  /** @param {Record<string, number> | null} weights */
  set value(weights) {
    for (const [organ, row] of this.#rows) {
      row.box.checked = weights === null || organ in weights;
      row.weight.value = String(weights?.[organ] ?? 1);
    }
    this.#onChange();
  }

  /** Say what each gets of so many tiles. The service rounds so that the sum is right. */
  share(tiles) {
    const weights = this.#chosen().map(([, { weight }]) => weight.valueAsNumber || 0);
    const sum = weights.reduce((a, b) => a + b, 0);
    for (const { box, weight, share } of this.#rows.values()) {
      weight.disabled = !box.checked;
      const part = sum > 0 && box.checked ? ((weight.valueAsNumber || 0) * tiles) / sum : 0;
      share.textContent = box.checked && tiles > 0 ? partWords(part) : "";
    }
  }

  #chosen() {
    return [...this.#rows].filter(([, { box }]) => box.checked);
  }

  #choose(all) {
    for (const { box } of this.#rows.values()) box.checked = all;
    this.#onChange();
  }

  #row(organ) {
    const box = element("input", { type: "checkbox", checked: true, ariaLabel: organ });
    const properties = { type: "number", min: "0", max: "1000", step: "any", value: "1", required: true };
    const weight = element("input", { ...properties, ariaLabel: `Weight of ${organ}` });
    const share = element("small");
    this.#rows.set(organ, { box, weight, share });
    const image = element("img", { alt: "", width: 40, height: 40, attributes: { "data-organ": organ } });
    const label = element("label", {}, box, image, element("span", {}, organ, share));
    return element("li", { className: "dataset-organ" }, label, weight);
  }
}

function partWords(part) {
  return Number.isInteger(part) ? counted(part, "tile", "tiles") : `≈ ${counted(Math.round(part), "tile", "tiles")}`;
}
