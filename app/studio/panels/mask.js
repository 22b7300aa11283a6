/**
 * The mask: opened, generated or drawn.
 *
 * @typedef {object} MaskFile what is sent to the service
 * @property {Blob} blob
 * @property {string} name
 * @property {Record<string, string>} fields that belong to it: label_components, width, height
 */

import { NpyError, decodeNpy, encodeNpy } from "../editor/npy.js";
import { encodeTiff } from "../editor/tiff.js";
import { acceptFiles, choices, counted, isValid } from "../parts/inputs.js";
import { askForSize } from "../parts/dialogs.js";
import { clearProblem, showProblem, wasStopped } from "../parts/problem.js";
import { patiently } from "../service/patience.js";
import { readSeed } from "../service/seeds.js";
import { ServiceError } from "../service/service.js";

const SNIFFED_BYTES = 65536;
const LARGE_PX = 1024 ** 2; // compressed from here on
const DRAWN = "drawn";

const $ = (id) => document.getElementById(id);

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
  #work = null;

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
      this.dispatchEvent(new Event("begin"));
      this.#showFacts();
    });
    this.#showFacts();
  }

  /**
   * The mask as it is now; it may be drawn on meanwhile.
   *
   * @returns {Promise<{file: MaskFile, labels: Int32Array, width: number, height: number,
   *   nuclei: number}>} file: the one that was opened, or what has become of it
   */
  async snapshot() {
    const { width, height, nuclei } = this.#editor;
    const source = this.#source;
    const labels = this.#editor.labels.slice();
    return { file: source ?? (await fileOf(labels, width, height)), labels, width, height, nuclei };
  }

  /** @param {string[]} organs whose nuclei can be drawn */
  setOrgans(organs) {
    for (const organ of organs) $("draw-organ").append(new Option(organ));
  }

  /**
   * Show a mask.
   *
   * @param {{labels: Int32Array, width: number, height: number}} mask
   * @param {string} name what it is, for people
   * @param {MaskFile | null} source it was read from this file, as it is
   */
  load({ labels, width, height }, name, source = null) {
    this.#loading = true;
    try {
      this.#editor.load(labels, width, height);
    } finally {
      this.#loading = false;
    }
    this.#name = name;
    this.#source = source;
    this.#edited = false;
    this.#showFacts();
    this.dispatchEvent(new CustomEvent("open", { detail: { width, height } }));
  }

  /** @returns {Promise<{labels: Int32Array, width: number, height: number}>} what a file holds */
  async read({ blob, name, fields }, signal) {
    const form = new FormData();
    form.set("mask", blob, name);
    form.set("format", "npy");
    for (const [field, value] of Object.entries(fields)) form.set(field, value);
    return decodeNpy(await this.#patient(signal, "masks/convert", { method: "POST", body: form }));
  }

  /** What a file of a past run holds. @param {MaskFile} source */
  async recall(source) {
    if (Object.keys(source.fields).length > 0) return this.read(source);
    try {
      return decodeNpy(await source.blob.arrayBuffer()); // without the service, if it is ours
    } catch (error) {
      if (!(error instanceof NpyError)) throw error;
      return this.read(source);
    }
  }

  async #open(file) {
    await this.#working(`Reading ${file.name} …`, async (signal) => {
      const fields = (await lacksSize(file)) ? await askForSize(file.name) : {};
      if (fields === null) return;
      // A copy: the file on the disk may change before it is sent again.
      const blob = new Blob([await file.arrayBuffer()], { type: file.type });
      await this.#readAndLoad({ blob, name: file.name, fields }, signal);
    });
  }

  async #readAndLoad(source, signal) {
    try {
      this.load(await this.read(source, signal), source.name, source);
    } catch (error) {
      if (error.code !== "mask_binary") throw error;
      const labelled = { ...source, fields: { ...source.fields, label_components: "true" } };
      const run = () => this.#working("Labelling …", (again) => this.#readAndLoad(labelled, again));
      showProblem(this.#problem, error, [{ label: "Make each region a nucleus", run }]);
    }
  }

  async #generate() {
    const [width, height] = [$("draw-width"), $("draw-height")];
    if (!isValid(width, height)) return;
    const organ = $("draw-organ").value;
    const wish = { organ, width: width.valueAsNumber, height: height.valueAsNumber, format: "npy" };
    await this.#working("Drawing nuclei …", async (signal) => {
      let body = JSON.stringify(wish);
      if ($("draw-seed").value.trim() !== "") {
        const seed = readSeed($("draw-seed").value);
        if (seed === null) throw new ServiceError("parameter_invalid", "The seed of the mask: 0 to 2^63 - 1.");
        body = `${body.slice(0, -1)},"seed":${seed}}`; // as a number it would be rounded
      }
      const headers = { "Content-Type": "application/json" };
      const npy = await this.#patient(signal, "masks", { method: "POST", headers, body });
      this.load(decodeNpy(npy), `generated, ${organ === "pooled" ? "all organs" : organ}`);
    });
  }

  #startEmpty() {
    const [width, height] = [$("blank-width"), $("blank-height")];
    if (!isValid(width, height)) return;
    clearProblem(this.#problem);
    const [w, h] = [width.valueAsNumber, height.valueAsNumber];
    this.load({ labels: new Int32Array(w * h), width: w, height: h }, DRAWN);
    this.dispatchEvent(new Event("edit"));
  }

  /** One thing at a time: what is begun later stops what was begun before. */
  async #working(words, work) {
    this.#work?.abort();
    const own = (this.#work = new AbortController());
    this.dispatchEvent(new Event("begin"));
    clearProblem(this.#problem);
    $("mask-facts").textContent = words;
    try {
      await work(own.signal);
    } catch (error) {
      if (!wasStopped(error)) showProblem(this.#problem, error);
    } finally {
      if (this.#work === own) this.#showFacts();
    }
  }

  #patient(signal, path, options) {
    const onWait = (left) => {
      $("mask-facts").textContent = `The service is busy. Next try in ${left} s.`;
    };
    const attempt = () => this.#service.bytes(path, { ...options, signal });
    return patiently(attempt, { signal, onWait });
  }

  #showFacts() {
    const { width, height, nuclei } = this.#editor;
    $("mask-facts").textContent =
      `${width} × ${height} px, ${counted(nuclei, "nucleus", "nuclei")} · ${this.#name}` +
      (this.#edited && this.#name !== DRAWN ? ", edited" : "");
  }
}

/** Small ones as .npy, which is read back without the service. @returns {Promise<MaskFile>} */
async function fileOf(labels, width, height) {
  if (labels.length > LARGE_PX) {
    return { blob: await encodeTiff(labels, width, height), name: "mask.tif", fields: {} };
  }
  return { blob: new Blob([encodeNpy(labels, width, height)]), name: "mask.npy", fields: {} };
}

/** Whether the file is of a format that does not say how large its image is. */
async function lacksSize(file) {
  const head = (await file.slice(0, SNIFFED_BYTES).text()).trimStart();
  if (head.startsWith("<")) return true; // Aperio XML
  return /^[[{]/.test(head) && /"type"\s*:\s*"Feature(Collection)?"/.test(head);
}
