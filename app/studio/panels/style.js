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
import { pause } from "../service/patience.js";
import { ServiceError } from "../service/service.js";
import { checkStyleImage } from "../service/style-image.js";
import { CustomStyles } from "./custom-styles.js";

const $ = (id) => document.getElementById(id);

/** Dispatches "change" when another style was chosen. */
export class StylePanel extends EventTarget {
  #service;
  #from;
  /** By organ: the address of its thumbnail, null if there is none. @type {Map<string, Promise<string | null>>} */
  #thumbnails = new Map();
  /** By organ: its slider. @type {Map<string, HTMLInputElement>} */
  #sliders = new Map();
  /** @type {{blob: Blob, name: string} | null} */
  #image = null;
  /** Of its picture. */
  #imageUrl = "";
  #loaded = false;
  /** Chosen before there was anything to choose from. @type {Style | null} */
  #early = null;
  #custom;

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    super();
    this.#service = service;
    this.#from = choices($("style-panel"), "style-from", () => this.#changed());
    this.#custom = new CustomStyles(service);
    this.#custom.addEventListener("keep", ({ detail }) => this.#add(detail));
    this.#custom.addEventListener("delete", ({ detail }) => this.#remove(detail));
    $("organs").addEventListener("change", () => {
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
      if (this.#early !== null) this.#put(this.#early);
      onOrgans(styles.filter(({ organ }) => organ !== null).map(({ organ }) => organ));
    } catch (error) {
      const run = () => this.load(preferred, onOrgans);
      showProblem($("style-problem"), error, [{ label: "Try again", run }]);
      onOrgans([]);
    }
  }

  /** @returns {Style} @throws {ServiceError} none is chosen */
  get value() {
    if (this.#early?.kind === this.#from.value) return this.#early;
    switch (this.#from.value) {
      case "mix":
        return { kind: "mix", weights: this.#weights() };
      case "image":
        if (this.#image === null) throw new ServiceError("style_missing", "No image was opened.");
        return { kind: "image", ...this.#image };
      default: {
        const organ = $("organs").querySelector("input:checked")?.value;
        if (organ === undefined) throw new ServiceError("style_missing", "The organs are not loaded.");
        return { kind: "organ", organ };
      }
    }
  }

  /** @param {Style} style */
  set value(style) {
    this.#from.value = style.kind;
    if (style.kind === "image") this.#chooseImage(style.blob, style.name);
    else this.#put(style);
  }

  /** @param {Style} style @returns {Promise<ImageBitmap | null>} what it looks like, if it is known */
  async picture(style) {
    try {
      if (style.kind === "image") return await createImageBitmap(style.blob);
      if (style.kind === "mix") return await this.#mixedPicture(style.weights);
      return await this.#thumbnail(style.organ);
    } catch {
      return null; // a TIFF, which browsers do not show
    }
  }

  #changed() {
    clearProblem($("style-problem"));
    this.dispatchEvent(new Event("change"));
  }

  async #open(file) {
    // A copy: the file on the disk may change before it is sent again.
    const blob = new Blob([await file.arrayBuffer()], { type: file.type });
    try {
      await checkStyleImage(blob, file.name);
      this.#chooseImage(blob, file.name);
      this.#changed();
    } catch (error) {
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
    this.#thumbnails.set(name, this.#loadThumbnail(style));
  }

  /** @param {string} name */
  #remove(name) {
    $("organs").querySelector(`input[value="${CSS.escape(name)}"]`).closest("label").remove();
    this.#sliders.get(name).closest("label").remove();
    this.#sliders.delete(name);
    this.#thumbnails.delete(name);
    this.#showShares();
    const next = $("organs").querySelector("input");
    this.#choose(next.value);
    next.focus(); // the button that had the focus is gone
  }

  /** Choose an organ or the weights of a mix: now, and once more if they are still to be loaded. */
  #put(style) {
    this.#early = this.#loaded ? null : style;
    if (style.kind === "organ") {
      this.#choose(style.organ);
      return;
    }
    for (const [organ, slider] of this.#sliders) slider.value = String(style.weights[organ] ?? 0);
    this.#showShares();
  }

  #choose(organ) {
    for (const radio of $("organs").querySelectorAll("input")) radio.checked = radio.value === organ;
    this.#showChosen();
  }

  #showChosen() {
    this.#custom.showChosen($("organs").querySelector("input:checked")?.value ?? null);
  }

  async #thumbnail(organ) {
    const url = await this.#thumbnails.get(organ);
    return url ? bitmapAt(url) : null;
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

  /** With the API key, hence not by an address in the page. They are painted as the service starts. */
  async #loadThumbnail({ name, links }) {
    // Looked for when it is there: the organs of a dataset come later than those of a tile.
    const images = () => document.querySelectorAll(`img[data-organ="${CSS.escape(name)}"]`);
    if (links.thumbnail === null) { // a custom style
      for (const image of images()) image.replaceWith(element("span", { className: "initial", ariaHidden: "true" }, name[0]));
      return null;
    }
    const signal = AbortSignal.timeout(120_000);
    for (;;) {
      try {
        const url = URL.createObjectURL(await this.#service.blob(links.thumbnail, { signal }));
        for (const image of images()) image.src = url;
        return url;
      } catch (error) {
        if (error.code !== "not_ready") return null; // a style without a picture can be used all the same
        await pause(1000 * (error.retryAfterS ?? 5), signal);
      }
    }
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

  /** Stripes of the organs, each as wide as its share. */
  async #mixedPicture(weights) {
    const side = 128;
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext("2d");
    const sum = Object.values(weights).reduce((a, b) => a + b, 0);
    let x = 0;
    for (const [organ, weight] of Object.entries(weights)) {
      const width = (side * weight) / sum;
      const picture = await this.#thumbnail(organ);
      if (picture !== null) context.drawImage(picture, x, 0, width, side, x, 0, width, side);
      x += width;
    }
    return createImageBitmap(canvas);
  }
}

async function bitmapAt(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return createImageBitmap(image);
}

/** @param {Style} style @returns {string} in words */
export function styleWords(style) {
  if (style.kind === "organ") return style.organ;
  if (style.kind === "image") return `image ${style.name}`;
  const shares = percentages(Object.values(style.weights));
  return Object.keys(style.weights).map((organ, i) => `${shares[i]} % ${organ}`).join(", ");
}
