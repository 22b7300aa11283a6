/** What a dataset is to hold. */

import { element } from "../editor/dom.js";
import { isValid } from "../parts/inputs.js";
import { sizeWords } from "../parts/sizes.js";
import { BYTES_WITHOUT, FORMATS } from "../service/dataset-formats.js";
import { readSeed } from "../service/seeds.js";
import { ServiceError } from "../service/service.js";
import { DatasetOrgans } from "./dataset-organs.js";

/** @typedef {import("../service/datasets.js").Wish} Wish */

const CHOSEN_AT_FIRST = new Set(["coco"]);
const PIXELS = 256 ** 2;

const $ = (id) => document.getElementById(id);

export class DatasetForm {
  #organs = new DatasetOrgans(() => this.#estimate());

  constructor() {
    $("dataset-formats").append(...Object.entries(FORMATS).map(([value, words]) => formatChoice(value, words)));
    $("dataset-form").addEventListener("input", () => this.#estimate());
    this.#estimate();
  }

  /** @param {string[]} organs there are; none: they could not be loaded */
  setOrgans(organs) {
    this.#organs.load(organs);
  }

  /** @returns {Wish | null} null: the browser told the user what is wrong @throws {ServiceError} */
  get value() {
    const [count, width, height] = this.#numbers();
    if (!isValid(count, width, height) || !this.#organs.isValid()) return null;
    const typed = $("dataset-seed").value.trim();
    const seed = typed === "" ? null : readSeed(typed);
    if (typed !== "" && seed === null) {
      $("dataset-seed").focus();
      throw new ServiceError("parameter_invalid", "The seed: a whole number from 0 to 2^63 - 1.");
    }
    return {
      count: count.valueAsNumber,
      organs: this.#organs.value,
      width: width.valueAsNumber,
      height: height.valueAsNumber,
      seed,
      formats: chosenFormats(),
    };
  }

  /** @param {Wish} wish */
  set value({ count, organs, width, height, seed, formats }) {
    $("dataset-count").value = String(count);
    $("dataset-width").value = String(width);
    $("dataset-height").value = String(height);
    $("dataset-seed").value = seed ?? "";
    for (const box of formatBoxes()) box.checked = formats.includes(box.value);
    this.#organs.value = organs;
    this.#estimate();
  }

  #numbers() {
    return [$("dataset-count"), $("dataset-width"), $("dataset-height")];
  }

  #estimate() {
    const [count, width, height] = this.#numbers();
    const known = [count, width, height].every(({ validity }) => validity.valid);
    this.#organs.share(count.validity.valid ? count.valueAsNumber : 0);
    const area = (count.valueAsNumber * width.valueAsNumber * height.valueAsNumber) / PIXELS;
    const bytes = chosenFormats().reduce((sum, name) => sum + FORMATS[name].bytes, BYTES_WITHOUT);
    $("dataset-estimate").textContent = known ? `A ZIP of about ${sizeWords(area * bytes)}.` : "";
  }
}

function formatBoxes() {
  return [...$("dataset-formats").querySelectorAll("input")];
}

function chosenFormats() {
  return formatBoxes().flatMap(({ checked, value }) => (checked ? [value] : []));
}

function formatChoice(value, { name, hint }) {
  const box = element("input", { type: "checkbox", value, checked: CHOSEN_AT_FIRST.has(value) });
  return element("label", { className: "format" }, box, element("span", {}, name, element("small", {}, hint)));
}
