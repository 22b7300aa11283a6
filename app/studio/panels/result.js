/**
 * The tile beside what it was made from.
 *
 * @typedef {object} Run what was asked for and what came of it
 * @property {string} id of the job
 * @property {string} createdAt ISO 8601
 * @property {import("./mask.js").MaskFile} mask as it was sent
 * @property {number} width
 * @property {number} height
 * @property {number} nuclei
 * @property {import("./style.js").Style} style
 * @property {string} seed
 * @property {number} n
 * @property {string} [mpp] as in Wish; older runs have none
 * @property {import("../service/synthesis.js").Output[]} outputs
 */

import { element } from "../editor/dom.js";
import { Compare } from "../parts/compare.js";
import { counted } from "../parts/inputs.js";
import { save } from "../parts/save.js";
import { showDownloads } from "./downloads.js";
import { styleWords } from "./style.js";

const ZOOM_STEP = Math.SQRT2;

const $ = (id) => document.getElementById(id);

export class ResultPanel {
  #service;
  #styles;
  #compare = new Compare($("compare"));
  #message = element("div", { className: "message", hidden: true });
  /** @type {Run | null} */
  #run = null;
  #labels = null;
  #index = 0;
  #urls = [];

  /**
   * @param {import("../service/service.js").Service} service
   * @param {import("./style.js").StylePanel} styles
   */
  constructor(service, styles) {
    this.#service = service;
    this.#styles = styles;
    $("compare").append(this.#message);
    this.#listen();
  }

  /** Whether there is nothing to look at yet. @returns {boolean} */
  get isEmpty() {
    return this.#run === null;
  }

  /**
   * @param {Run} run
   * @param {Int32Array} labels of its mask
   */
  async show(run, labels) {
    this.#run = run;
    this.#labels = labels;
    this.#showStrip();
    await this.#showTile(0);
  }

  /** @param {{same: boolean, words: string} | null} proof whether bytes came out again as before */
  prove(proof) {
    $("tile-proof").hidden = proof === null;
    $("tile-proof").classList.toggle("differs", proof?.same === false);
    $("tile-proof").textContent = proof?.words ?? "";
  }

  #listen() {
    const compare = this.#compare;
    const redraw = (change) => () => (change(), compare.redraw());
    const divider = $("divider");
    divider.addEventListener("input", redraw(() => (compare.divider = divider.valueAsNumber / 100)));
    compare.addEventListener("divide", () => (divider.value = String(100 * compare.divider)));
    for (const radio of document.querySelectorAll("input[name=against]")) {
      radio.addEventListener("change", redraw(() => (compare.against = radio.value)));
    }
    const outlines = redraw(() => {
      const shown = $("outlines").checked;
      $("outline-opacity").disabled = !shown;
      compare.outlineOpacity = shown ? $("outline-opacity").valueAsNumber / 100 : 0;
    });
    $("outlines").addEventListener("change", outlines);
    $("outline-opacity").addEventListener("input", outlines);
    outlines();
    $("zoom-in").addEventListener("click", () => compare.zoomBy(ZOOM_STEP));
    $("zoom-out").addEventListener("click", () => compare.zoomBy(1 / ZOOM_STEP));
    $("zoom-fit").addEventListener("click", () => compare.fit());
    compare.addEventListener("view", () => {
      $("zoom-level").textContent = `${Math.round(100 * compare.view.scale)} %`;
    });
  }

  async #showTile(index) {
    const run = this.#run;
    const output = run.outputs[index];
    this.#index = index;
    for (const [i, button] of [...$("tile-strip").children].entries()) {
      button.ariaPressed = String(i === index);
    }
    this.#showFacts(output);
    showDownloads(this.#service, run, index);
    const tile = await createImageBitmap(output.blob).catch(() => null);
    if (run !== this.#run || index !== this.#index) return; // another one is shown by now
    this.#showMessage(tile === null ? output : null);
    if (tile === null) return;
    const { width, height } = run;
    const label = `Tile in the style of ${styleWords(run.style)}, ${counted(run.nuclei, "nucleus", "nuclei")}, beside its mask`;
    this.#compare.show({ labels: this.#labels, width, height, tile }, label);
    this.showStyle(); // whose picture may take a moment
  }

  /** The picture of the style, to compare the tile with. */
  async showStyle() {
    const compare = this.#compare;
    if (this.#run === null) return;
    const { style } = this.#run;
    compare.style = null;
    const picture = await this.#styles.picture(style);
    if (style !== this.#run.style) return;
    const [mask, choice] = ["mask", "style"].map((value) => document.querySelector(`input[name=against][value=${value}]`));
    choice.disabled = picture === null;
    choice.parentElement.title = picture === null ? "There is no picture of this style." : "";
    if (picture === null && choice.checked) {
      mask.checked = true;
      compare.against = "mask";
    }
    compare.style = picture;
    compare.redraw();
  }

  #showFacts({ seed, sha256 }) {
    const { width, height, nuclei, style, mpp } = this.#run;
    const fact = (name, value) => [`${name} `, element("b", {}, value), " · "];
    const facts = [
      ...fact("Style", styleWords(style)),
      ...fact("Mask", `${width} × ${height} px, ${counted(nuclei, "nucleus", "nuclei")}`),
      ...(mpp ? fact("Pixel size", `${mpp} µm`) : []),
      ...fact("Seed", seed),
      ...(sha256 ? fact("SHA-256", `${sha256.slice(0, 16)}…`) : []),
    ];
    const hint = this.#run.id === null ? "An example: drag the divider to compare. " : "";
    $("tile-facts").replaceChildren(hint, ...facts.slice(0, -1));
  }

  #showStrip() {
    this.#urls.forEach((url) => URL.revokeObjectURL(url));
    const { outputs } = this.#run;
    this.#urls = outputs.map(({ blob }) => URL.createObjectURL(blob));
    const buttons = this.#urls.map((src, i) =>
      element(
        "button",
        { type: "button", ariaLabel: `Tile ${i + 1}`, onclick: () => this.#showTile(i) },
        element("img", { src, alt: "" }),
      ),
    );
    $("tile-strip").replaceChildren(...buttons);
    $("tile-strip").hidden = outputs.length < 2;
  }

  /** Browsers show no TIFF, which is what tiles of large masks are. */
  #showMessage(output) {
    const isShown = output === null;
    this.#message.hidden = isShown;
    for (const control of $("compare-tools").querySelectorAll("input, button")) control.disabled = !isShown;
    if (isShown) {
      $("outline-opacity").disabled = !$("outlines").checked;
      return;
    }
    const megabytes = (output.blob.size / 1e6).toFixed(1);
    this.#message.replaceChildren(
      element("p", {}, element("strong", {}, "The tile is ready, as a TIFF.")),
      element("p", {}, "Tiles of large masks are TIFFs, which browsers do not show. QuPath and other viewers of slides do."),
      element("button", { type: "button", className: "primary", onclick: () => save(output.blob, "tile.tif") }, `Download it (${megabytes} MB)`),
    );
  }
}
