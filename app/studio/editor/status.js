/** The line below the canvas, and what is said to those who do not see it. */

import { element } from "./dom.js";
import { count } from "./session.js";

const PAUSE_MS = 400; // the crosshair has come to rest

export class Status {
  #size = element("span");
  #nuclei = element("span");
  #position = element("span", { className: "me-position" });
  #zoom = element("span");
  #message = element("span", { className: "me-message", role: "status" });
  #whereabouts = element("span", { className: "me-unseen", attributes: { "aria-live": "polite" } });
  #timer = 0;

  constructor() {
    this.element = element(
      "div",
      { className: "me-status" },
      this.#message,
      element(
        "span",
        { className: "me-facts" },
        this.#size,
        this.#nuclei,
        this.#position,
        this.#zoom,
      ),
      this.#whereabouts,
    );
  }

  /** Say what happened. The same words again are said again. @param {string} message */
  say(message) {
    const same = this.#message.textContent === message;
    this.#message.textContent = same ? `${message}\u00a0` : message;
  }

  /** @param {import("./label-image.js").LabelImage} image */
  showImage({ width, height, nuclei }) {
    this.#size.textContent = `${width} × ${height} px`;
    this.#nuclei.textContent = count(nuclei, "nucleus");
  }

  showZoom(scale) {
    const percent = 100 * scale;
    this.#zoom.textContent = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
  }

  /** @param {import("./raster.js").Point | null} pixel @param {number} id what is there */
  showPosition(pixel, id) {
    const text = id === 0 ? "background" : `nucleus ${id}`;
    this.#position.textContent = pixel === null ? "" : `x ${pixel.x}, y ${pixel.y}: ${text}`;
  }

  /** Say where the crosshair is, once it rests. */
  sayPosition() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#whereabouts.textContent = this.#position.textContent;
    }, PAUSE_MS);
  }
}
