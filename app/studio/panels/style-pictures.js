/** What styles look like: thumbnails of the service, and pictures made of them. */

import { element } from "../editor/dom.js";
import { pause } from "../service/patience.js";

/** @typedef {import("./style.js").Style} Style */

export class StylePictures {
  #service;
  /** By name: the address of its thumbnail, null if there is none. @type {Map<string, Promise<string | null>>} */
  #thumbnails = new Map();

  /** @param {import("../service/service.js").Service} service */
  constructor(service) {
    this.#service = service;
  }

  /** Load the thumbnail of a style, and show it wherever the page has a place for it. @param {any} style its document */
  add(style) {
    this.#thumbnails.set(style.name, this.#load(style));
  }

  /** @param {string} name */
  remove(name) {
    this.#thumbnails.delete(name);
  }

  /** @param {Style} style @returns {Promise<ImageBitmap | null>} what it looks like, if it is known */
  async of(style) {
    try {
      if (style.kind === "image") return await createImageBitmap(style.blob);
      if (style.kind === "mix") return await this.#mixed(style.weights);
      return await this.#thumbnail(style.organ);
    } catch {
      return null; // a TIFF, which browsers do not show
    }
  }

  async #thumbnail(name) {
    const url = await this.#thumbnails.get(name);
    return url ? bitmapAt(url) : null;
  }

  /** With the API key, hence not by an address in the page. They are painted as the service starts. */
  async #load({ name, links }) {
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

  /** Stripes of the organs, each as wide as its share. */
  async #mixed(weights) {
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
