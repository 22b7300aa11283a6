/**
 * The mask: opened, generated or drawn.
 *
 * @typedef {object} MaskFile what is sent to the service
 * @property {Blob} blob
 * @property {string} name
 * @property {Record<string, string>} fields that belong to it: label_components, width, height
 */

import { acceptFiles, choices, counted, isValid } from "../parts/inputs.js";
import { askForSize, confirm } from "../parts/dialogs.js";
import { clearProblem, showProblem, wasStopped } from "../parts/problem.js";
import { copyOf } from "../service/files.js";
import { fileOf, generateMask, lacksSize, readMask, recallMask } from "../service/masks.js";
import { readSeed } from "../service/seeds.js";
import { ServiceError } from "../service/service.js";

const DRAWN = "drawn";
const LOST =
  "The mask was drawn on, and is not in the gallery as it is now: it cannot be had back. " +
  "To keep it, make a tile of it first.";

const $ = (id) => document.getElementById(id);

/**
 * What is shown in the place of another mask.
 *
 * @typedef {object} Other
 * @property {{labels: Int32Array, width: number, height: number}} mask
 * @property {string} name what it is, for people
 * @property {MaskFile | null} [source] it was read from this file, as it is
 */

/**
 * Dispatches "begin" when the user begins to open, generate or draw a mask, "edit" when it shall be
 * drawn on, and "open" with its width and height as `detail` when another one was opened.
 */
export class MaskPanel extends EventTarget {
  #service;
  #editor;
  #problem = $("mask-problem");
  #name = DRAWN;
  /** The file as it was opened, as long as nothing was changed. @type {MaskFile | null} */
  #source = null;
  #edited = false;
  #loading = false;
  /** What is being read. */
  #work = new AbortController();
  /** Counts what becomes of the mask: every step of drawing, every other mask. */
  #version = 0;
  /** The last that can be had again: as it was opened, or in the gallery. */
  #kept = 0;

  /**
   * @param {import("../service/service.js").Service} service
   * @param {import("../editor/mask-editor.js").MaskEditor} editor
   */
  constructor(service, editor) {
    super();
    this.#service = service;
    this.#editor = editor;
    choices($("mask-panel"), "mask-from");
    acceptFiles([$("mask-panel"), $("stage")], $("mask-file"), (file) => this.#open(file));
    $("generate").addEventListener("click", () => this.#generate());
    $("blank").addEventListener("click", () => this.#startEmpty());
    $("edit").addEventListener("click", () => this.dispatchEvent(new Event("edit")));
    editor.addEventListener("change", () => {
      if (this.#loading) return;
      this.#source = null;
      this.#edited = true;
      this.#version++;
      this.dispatchEvent(new Event("begin"));
      this.#showFacts();
    });
    this.#showFacts();
  }

  /** Of the mask: another one as soon as it is another mask, or was drawn on. @returns {number} */
  get version() {
    return this.#version;
  }

  /** Whether a stroke or a polygon has been begun and not ended. @returns {boolean} */
  get isDrawing() {
    return this.#editor.drawing;
  }

  /** Whether something was drawn that is kept nowhere. @returns {boolean} */
  get hasDrawings() {
    return this.#version !== this.#kept || this.isDrawing;
  }

  /** It can be had again as it was then. @param {number} version */
  keep(version) {
    this.#kept = Math.max(this.#kept, version);
  }

  /**
   * The mask as it is now; it may be drawn on meanwhile.
   *
   * @returns {Promise<{file: MaskFile, labels: Int32Array, width: number, height: number,
   *   nuclei: number, version: number}>} file: the one that was opened, or what has become of it
   */
  async snapshot() {
    const { width, height, nuclei } = this.#editor;
    const version = this.#version;
    const source = this.#source;
    const labels = this.#editor.labels.slice();
    const file = source ?? (await fileOf(labels, width, height));
    return { file, labels, width, height, nuclei, version };
  }

  /** @param {string[]} organs whose nuclei can be drawn */
  setOrgans(organs) {
    for (const organ of organs) $("draw-organ").append(new Option(organ));
  }

  /** Show a mask. @param {Other} other */
  load({ mask: { labels, width, height }, name, source = null }) {
    this.#loading = true;
    try {
      this.#editor.load(labels, width, height);
    } finally {
      this.#loading = false;
    }
    this.#name = name;
    this.#source = source;
    this.#edited = false;
    this.#kept = ++this.#version;
    this.#showFacts();
    this.dispatchEvent(new CustomEvent("open", { detail: { width, height } }));
  }

  /**
   * Show the mask of a past run.
   *
   * @param {MaskFile} source
   * @param {object} options
   * @param {(secondsLeft: number) => void} options.onWait the service is busy
   * @param {() => boolean} options.mayLoad asked when the mask has come; false leaves all as it is
   * @returns {Promise<Int32Array | null>} its ids; null: it is not shown, as the user wants it
   * @throws {ServiceError}
   * @throws {DOMException} AbortError: another mask was asked for meanwhile
   */
  async recall(source, { onWait, mayLoad }) {
    let mask = null;
    const isShown = await this.#exchange("Reading …", async (signal) => {
      mask = await recallMask(this.#service, source, { signal, onWait });
      return mayLoad() ? { mask, name: "from the gallery", source } : null;
    });
    return isShown ? mask.labels : null;
  }

  async #open(file) {
    await this.#begin(`Reading ${file.name} …`, async (signal) => {
      const blob = await copyOf(file, "mask_unreadable");
      const fields = (await lacksSize(blob)) ? await askForSize(file.name) : {};
      return fields === null ? null : this.#readOrOffer({ blob, name: file.name, fields }, signal);
    });
  }

  async #readOrOffer(source, signal) {
    try {
      const mask = await readMask(this.#service, source, { signal, onWait: sayBusy });
      return { mask, name: source.name, source };
    } catch (error) {
      if (error.code !== "mask_binary") throw error;
      const labelled = { ...source, fields: { ...source.fields, label_components: "true" } };
      const run = () => this.#begin("Labelling …", (again) => this.#readOrOffer(labelled, again));
      showProblem(this.#problem, error, [{ label: "Make each region a nucleus", run }]);
      return null;
    }
  }

  async #generate() {
    const [width, height] = [$("draw-width"), $("draw-height")];
    if (!isValid(width, height)) return;
    const organ = $("draw-organ").value;
    const wish = { organ, width: width.valueAsNumber, height: height.valueAsNumber };
    const typed = $("draw-seed").value.trim();
    await this.#begin("Drawing nuclei …", async (signal) => {
      const seed = typed === "" ? null : readSeed(typed);
      if (typed !== "" && seed === null) {
        throw new ServiceError("parameter_invalid", "The seed of the mask: 0 to 2^63 - 1.");
      }
      const mask = await generateMask(this.#service, wish, seed, { signal, onWait: sayBusy });
      return { mask, name: `generated, ${organ === "pooled" ? "all organs" : organ}` };
    });
  }

  async #startEmpty() {
    const [width, height] = [$("blank-width"), $("blank-height")];
    if (!isValid(width, height)) return;
    const [w, h] = [width.valueAsNumber, height.valueAsNumber];
    const mask = { labels: new Int32Array(w * h), width: w, height: h };
    const isShown = await this.#begin("Starting …", async () => ({ mask, name: DRAWN }));
    if (isShown) this.dispatchEvent(new Event("edit"));
  }

  /** Exchange the mask, and say here what goes wrong with that. @returns {Promise<boolean>} as `#exchange` */
  async #begin(words, make) {
    this.dispatchEvent(new Event("begin"));
    try {
      return await this.#exchange(words, make, () => clearProblem(this.#problem));
    } catch (error) {
      if (!wasStopped(error)) showProblem(this.#problem, error);
      return false;
    }
  }

  /**
   * Show another mask, unless the user wants to go on with what was drawn. One thing at a time: what
   * is begun later stops what was begun before.
   *
   * @param {string} words what is done meanwhile
   * @param {(signal: AbortSignal) => Promise<Other | null>} make null: none after all
   * @param {() => void} [onBegin] the user has agreed
   * @returns {Promise<boolean>} whether it is shown
   */
  async #exchange(words, make, onBegin = () => {}) {
    const agreed = await this.#agree(null);
    if (agreed === null) return false;
    onBegin();
    this.#work.abort();
    const own = (this.#work = new AbortController());
    $("mask-facts").textContent = words;
    try {
      const other = await make(own.signal);
      const isWanted = other !== null && (await this.#agree(agreed)) !== null;
      own.signal.throwIfAborted();
      if (isWanted) this.load(other);
      return isWanted;
    } catch (error) {
      own.signal.throwIfAborted(); // what goes wrong with it then is of no interest
      throw error;
    } finally {
      if (this.#work === own) this.#showFacts();
    }
  }

  /**
   * Ask before drawings are lost.
   *
   * @param {number | null} agreed the version that may be lost, as the user has said before
   * @returns {Promise<number | null>} the version that may be; null: none
   */
  async #agree(agreed) {
    if (!this.hasDrawings || this.#version === agreed) return this.#version;
    return (await confirm("Replace what was drawn?", LOST, "Replace it", "Keep drawing")) ? this.#version : null;
  }

  #showFacts() {
    const { width, height, nuclei } = this.#editor;
    $("mask-facts").textContent =
      `${width} × ${height} px, ${counted(nuclei, "nucleus", "nuclei")} · ${this.#name}` +
      (this.#edited && this.#name !== DRAWN ? ", edited" : "");
  }
}

function sayBusy(left) {
  $("mask-facts").textContent = `The service is busy. Next try in ${left} s.`;
}
