/**
 * The style: an organ, a mix of organs, or an image. Custom styles, which the service keeps by name
 * beside the organs, are used like these.
 *
 * @typedef {{kind: "organ", organ: string} | {kind: "mix", weights: Record<string, number>} |
 *   {kind: "image", blob: Blob, name: string}} Style
 */

import { element } from "../editor/dom.js";
import { acceptFiles, choices } from "../parts/inputs.js";
import { clearProblem, showProblem } from "../parts/problem.js";
import { percentages } from "../parts/shares.js";
import { copyOf } from "../service/files.js";
import { ServiceError } from "../service/service.js";
import { checkStyleImage } from "../service/style-image.js";
import { CustomStyles } from "./custom-styles.js";
import { StylePictures } from "./style-pictures.js";

const $ = (id) => document.getElementById(id);

/** Dispatches "change" when another style was chosen. */
export class StylePanel extends EventTarget {
  #service;
  #from;
  #pictures;
  /** By organ: its slider. @type {Map<string, HTMLInputElement>} */
  #sliders = new Map();
  /** @type {{blob: Blob, name: string} | null} */
  #image = null;
  /** Of its picture. */
  #imageUrl = "";
  #loaded = false;
  /** Of a past run, with names that are not among those to choose from: not yet, or not any more. @type {Style | null} */
  #absent = null;
  /** Counts images that were opened. */
  #opened = 0;
  #custom;

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    super();
    this.#service = service;
    this.#pictures = new StylePictures(service);
    this.#from = choices($("style-panel"), "style-from", () => this.#changed());
    this.#custom = new CustomStyles(service);
    this.#custom.addEventListener("keep", ({ detail }) => {
      this.#add(detail);
      if (this.#absent !== null) this.#put(this.#absent);
    });
    this.#custom.addEventListener("delete", ({ detail }) => this.#remove(detail));
    $("organs").addEventListener("change", () => {
      this.#absent = null;
      this.#showChosen();
      this.#changed();
    });
    acceptFiles([$("style-panel")], $("style-file"), (file) => this.#open(file));
  }

  /**
   * Ask the service which styles there are, and show them.
   *
   * @param {string} preferred organ that is chosen if there is one of this name
   * @param {(organs: string[]) => void} onOrgans told the names of the organs that have presets;
   *   none if they could not be loaded, and again when they could
   */
  async load(preferred, onOrgans) {
    try {
      const { styles: all } = await this.#service.json("styles");
      const styles = all.filter(({ outdated }) => !outdated);
      for (const style of styles) this.#add(style);
      const first = styles.find(({ name }) => name === preferred) ?? styles[0];
      this.#choose(first.name);
      this.#loaded = true;
      if (this.#absent !== null) this.#put(this.#absent);
      this.tellAbsent();
      onOrgans(styles.filter(({ organ }) => organ !== null).map(({ organ }) => organ));
    } catch (error) {
      const run = () => this.load(preferred, onOrgans);
      showProblem($("style-problem"), error, [{ label: "Try again", run }]);
      onOrgans([]);
    }
  }

  /** @returns {Style} @throws {ServiceError} none is chosen */
  get value() {
    if (this.#absent?.kind === this.#from.value) {
      if (this.#loaded) throw unknown(this.#missing(this.#absent));
      return this.#absent; // the service knows
    }
    switch (this.#from.value) {
      case "mix":
        return { kind: "mix", weights: this.#weights() };
      case "image":
        if (this.#image === null) throw new ServiceError("style_missing", "No image was opened.");
        return { kind: "image", ...this.#image };
      default: {
        const organ = $("organs").querySelector("input:checked")?.value;
        if (organ === undefined) {
          throw new ServiceError("style_missing", this.#loaded ? "No organ is chosen." : "The organs are not loaded.");
        }
        return { kind: "organ", organ };
      }
    }
  }

  /** @param {Style} style */
  set value(style) {
    this.#opened++; // what is opened now comes too late
    this.#from.value = style.kind;
    if (style.kind === "image") this.#chooseImage(style.blob, style.name);
    else this.#put(style);
  }

  /** Say so if a past run's style, which was put back, is none of those to choose from. */
  tellAbsent() {
    if (this.#loaded && this.#absent !== null) showProblem($("style-problem"), unknown(this.#missing(this.#absent)));
  }

  /** @param {Style} style @returns {Promise<ImageBitmap | null>} what it looks like, if it is known */
  async picture(style) {
    return this.#pictures.of(style);
  }

  #changed() {
    clearProblem($("style-problem"));
    this.dispatchEvent(new Event("change"));
  }

  /** Of two that are opened quickly the later one counts. */
  async #open(file) {
    const own = ++this.#opened;
    try {
      const blob = await copyOf(file, "style_unreadable");
      await checkStyleImage(blob, file.name);
      if (own !== this.#opened) return;
      this.#chooseImage(blob, file.name);
      this.#changed();
    } catch (error) {
      if (own !== this.#opened) return;
      this.#from.value = "image";
      showProblem($("style-problem"), error);
    }
  }

  /** @param {any} style its document */
  #add(style) {
    const { name, kind } = style;
    if (this.#sliders.has(name)) return; // the same image was kept before
    if (kind === "custom") this.#custom.names.add(name);
    $("organs").append(this.#organ(name));
    $("mix").append(this.#slider(name));
    this.#showShares();
    this.#pictures.add(style);
  }

  /** @param {string} name */
  #remove(name) {
    $("organs").querySelector(`input[value="${CSS.escape(name)}"]`).closest("label").remove();
    this.#sliders.get(name).closest("label").remove();
    this.#sliders.delete(name);
    this.#pictures.remove(name);
    this.#showShares();
    const next = $("organs").querySelector("input");
    this.#choose(next.value);
    next.focus(); // the button that had the focus is gone
  }

  /** Choose an organ or the weights of a mix: now, and once more when names that are missing have come. */
  #put(style) {
    this.#absent = this.#missing(style).length > 0 ? style : null;
    if (style.kind === "organ") {
      this.#choose(style.organ);
      return;
    }
    for (const [organ, slider] of this.#sliders) slider.value = String(style.weights[organ] ?? 0);
    this.#showShares();
  }

  /** @param {Style} style no image @returns {string[]} its names that cannot be chosen */
  #missing(style) {
    const names = style.kind === "mix" ? Object.keys(style.weights) : [style.organ];
    return names.filter((name) => !this.#sliders.has(name));
  }

  #choose(organ) {
    for (const radio of $("organs").querySelectorAll("input")) radio.checked = radio.value === organ;
    this.#showChosen();
  }

  #showChosen() {
    this.#custom.showChosen($("organs").querySelector("input:checked")?.value ?? null);
  }

  #weights() {
    const weights = {};
    for (const [organ, slider] of this.#sliders) {
      if (slider.valueAsNumber > 0) weights[organ] = slider.valueAsNumber;
    }
    if (Object.keys(weights).length === 0) {
      throw new ServiceError("style_weights_invalid", "All organs of the mix are at 0.");
    }
    return weights;
  }

  #organ(organ) {
    const radio = element("input", { type: "radio", name: "organ", value: organ });
    const image = element("img", { alt: "", width: 128, height: 128, attributes: { "data-organ": organ } });
    return element("label", { className: "organ" }, radio, element("span", {}, image, organ));
  }

  #slider(organ) {
    const slider = element("input", { type: "range", min: "0", max: "100", value: "0" });
    if (this.#sliders.size < 2) slider.value = "50";
    slider.addEventListener("input", () => {
      this.#absent = null;
      this.#showShares();
      this.#changed();
    });
    this.#sliders.set(organ, slider);
    const image = element("img", { alt: "", width: 28, height: 28, attributes: { "data-organ": organ } });
    return element("label", {}, image, element("span", {}, organ), slider, element("output"));
  }

  #showShares() {
    const sliders = [...this.#sliders.values()];
    const shares = percentages(sliders.map((slider) => slider.valueAsNumber));
    sliders.forEach((slider, i) => {
      slider.setAttribute("aria-valuetext", `${shares[i]} percent`);
      slider.parentElement.querySelector("output").textContent = `${shares[i]} %`;
    });
  }

  #chooseImage(blob, name) {
    this.#image = { blob, name };
    if (this.#from.value !== "image") this.#from.value = "image";
    const figure = $("style-chosen");
    URL.revokeObjectURL(this.#imageUrl);
    this.#imageUrl = URL.createObjectURL(blob);
    const picture = element("img", { alt: "", src: this.#imageUrl });
    picture.addEventListener("error", () => picture.remove(), { once: true });
    figure.replaceChildren(picture, element("figcaption", {}, name));
    figure.hidden = false;
    this.#custom.offer(this.#image);
  }
}

function unknown(names) {
  const detail = `This page has loaded no style named ${names.join(" or ")}. If it was kept since then, reload the page.`;
  return new ServiceError("style_unknown", detail);
}

/** @param {Style} style @returns {string} in words */
export function styleWords(style) {
  if (style.kind === "organ") return style.organ;
  if (style.kind === "image") return `image ${style.name}`;
  const shares = percentages(Object.values(style.weights));
  return Object.keys(style.weights).map((organ, i) => `${shares[i]} % ${organ}`).join(", ");
}
