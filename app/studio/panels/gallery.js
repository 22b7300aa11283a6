/** Past runs: to look at, to make again, to vary, to delete. */

import { element } from "../editor/dom.js";
import { confirm } from "../parts/dialogs.js";
import { counted } from "../parts/inputs.js";
import { clearProblem, showNote, showProblem, wasStopped } from "../parts/problem.js";
import * as store from "../service/gallery-store.js";
import { styleWords } from "./style.js";

const $ = (id) => document.getElementById(id);

/** Dispatches "show", "same" and "vary" with the run as `detail`. */
export class GalleryPanel extends EventTarget {
  #problem = $("gallery-problem");
  #urls = [];

  constructor() {
    super();
    $("gallery-clear").addEventListener("click", () => this.attempt(() => this.#clear()));
  }

  /** Show what is kept. */
  async load() {
    await this.attempt(async () => this.#show(await store.all()));
  }

  /** Keep a run. @param {import("./result.js").Run} run @throws {ServiceError} gallery_full */
  async keep(run) {
    await store.keep(run);
    this.#show(await store.all());
  }

  /** Do something that may fail, and say so here if it does. @param {() => Promise<void>} action */
  async attempt(action) {
    clearProblem(this.#problem);
    try {
      await action();
    } catch (error) {
      if (!wasStopped(error)) showProblem(this.#problem, error);
    }
  }

  /** Something that is no problem. @param {string | null} words null: it is past */
  tell(words) {
    if (words === null) clearProblem(this.#problem);
    else showNote(this.#problem, words);
  }

  #show(runs) {
    this.#urls.forEach((url) => URL.revokeObjectURL(url));
    this.#urls = [];
    const megabytes = (bytes) => Math.ceil(bytes / 2 ** 20);
    const used = runs.reduce((sum, run) => sum + store.sizeOf(run), 0);
    $("gallery-facts").textContent =
      `Kept in this browser only: ${megabytes(used)} of ${megabytes(store.LIMIT_BYTES)} MB. ` +
      "When it is full, the oldest go.";
    $("gallery-count").textContent = String(runs.length);
    $("gallery-count").hidden = $("gallery-clear").hidden = runs.length === 0;
    $("gallery-empty").hidden = runs.length > 0;
    $("cards").replaceChildren(...runs.map((run) => this.#card(run)));
  }

  #card(run) {
    const words = styleWords(run.style);
    const when = new Date(run.createdAt).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    const act = (label, type, hint) =>
      element("button", {
        type: "button",
        className: "quiet small",
        title: hint,
        ariaLabel: `${label}: ${words}, ${when}`,
        onclick: () => this.dispatchEvent(new CustomEvent(type, { detail: run })),
      }, label);
    const remove = element("button", {
      type: "button",
      className: "quiet small danger",
      ariaLabel: `Delete: ${words}, ${when}`,
      onclick: () => this.attempt(() => this.#remove(run)),
    }, "Delete");
    const tiles = run.outputs.length > 1 ? `, ${run.outputs.length} tiles` : "";
    const mpp = run.mpp ? ` of ${run.mpp} µm` : "";
    return element(
      "li",
      { className: "card" },
      this.#picture(run),
      element(
        "div",
        { className: "card-text" },
        element("h3", {}, words),
        element("p", { className: "hint" }, `${counted(run.nuclei, "nucleus", "nuclei")}, ${run.width} × ${run.height} px${mpp}${tiles}`),
        element("p", { className: "hint" }, `Seed ${run.seed}`),
        element("p", { className: "hint" }, when),
      ),
      element(
        "div",
        { className: "card-actions" },
        act("Open", "show", "Put mask, style, seed and tile back on the page"),
        act("Same again", "same", "Make it again with the same seed, and compare the bytes"),
        act("Vary", "vary", "Make it again with a new seed"),
        remove,
      ),
    );
  }

  #picture({ outputs }) {
    const shown = outputs.filter(({ blob }) => blob.type === "image/png").slice(0, 4);
    const className = shown.length > 1 ? "card-pictures several" : "card-pictures";
    const images = shown.map(({ blob }) => {
      const src = URL.createObjectURL(blob);
      this.#urls.push(src);
      return element("img", { src, alt: "", loading: "lazy" });
    });
    return element("div", { className }, ...(images.length > 0 ? images : [element("p", { className: "no-picture" }, "TIFF")]));
  }

  async #remove(run) {
    await store.remove(run.id);
    this.#show(await store.all());
    $("gallery-title").focus();
  }

  async #clear() {
    if (!(await confirm("Delete all?", "All runs in the gallery of this browser will be gone.", "Delete all"))) return;
    await store.clear();
    this.#show([]);
    $("gallery-title").focus();
  }
}
