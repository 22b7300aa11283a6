/** The studio: its parts, and how they work together. */

import { decodeNpy } from "./editor/npy.js";
import { MaskEditor } from "./editor/mask-editor.js";
import { DatasetsPanel } from "./panels/datasets.js";
import { GalleryPanel } from "./panels/gallery.js";
import { MaskPanel } from "./panels/mask.js";
import { ResultPanel } from "./panels/result.js";
import { RunPanel } from "./panels/run.js";
import { StylePanel } from "./panels/style.js";
import { askForKey } from "./parts/dialogs.js";
import { keepPageFromDrops } from "./parts/inputs.js";
import { showPlaces } from "./parts/places.js";
import { Service } from "./service/service.js";

const EXAMPLE = { organ: "breast", seed: "7", folder: "studio/example" };

const $ = (id) => document.getElementById(id);

const service = new Service(askForKey);
const masks = new MaskPanel(service, new MaskEditor($("mask-view")));
const styles = new StylePanel(service);
const result = new ResultPanel(service, styles);
const runs = new RunPanel(service);
const gallery = new GalleryPanel();
const datasets = new DatasetsPanel(service);
/** Whether the user has begun something, which the example would take off the page. */
let hasBegun = false;

function showView(name) {
  for (const radio of $("stage-views").querySelectorAll("input")) radio.checked = radio.value === name;
  $("mask-view").hidden = name !== "mask";
  $("tile-view").hidden = $("tile-foot").hidden = name !== "tile";
}

/**
 * Make tiles, show and keep them.
 *
 * @param {import("./service/synthesis.js").Wish} wish
 * @param {Int32Array} labels of its mask
 * @param {{width: number, height: number, nuclei: number}} facts
 * @returns {Promise<import("./panels/result.js").Run | null>} null: it came to nothing
 */
async function make(wish, labels, { width, height, nuclei }) {
  const made = await runs.run(wish);
  if (made === null) return null;
  const run = { ...wish, ...made, width, height, nuclei };
  await result.show(run, labels);
  result.prove(null);
  showView("tile");
  $("stage-title").focus();
  return run;
}

/** Something that ends with a tile on the stage; assistive technology waits for it. */
async function busily(work) {
  $("stage").ariaBusy = "true";
  try {
    return await work();
  } finally {
    $("stage").ariaBusy = "false";
  }
}

async function makeWished() {
  try {
    const style = styles.value;
    const { file, labels, ...facts } = await masks.snapshot();
    const wish = runs.wish();
    if (wish === null) return;
    const run = await make({ ...wish, mask: file, style }, labels, facts);
    if (run !== null) await gallery.keep(run);
  } catch (error) {
    runs.fail(error);
  }
}

/** Put a past run back onto the page. @returns {Promise<Int32Array>} the ids of its mask */
async function restore(run) {
  const mask = await masks.recall(run.mask);
  masks.load(mask, "from the gallery", run.mask);
  styles.value = run.style;
  runs.show(run);
  location.hash = "#tile";
  return mask.labels;
}

async function showPast(run) {
  await result.show(run, await restore(run));
  result.prove(null);
  showView("tile");
  $("stage-title").focus();
}

async function sameAgain(past) {
  const labels = await restore(past);
  const { mask, style, seed, n, mpp, outputs } = past;
  const run = await make({ mask, style, seed, n, mpp }, labels, past);
  if (run !== null) result.prove(await compareBytes(outputs, run.outputs));
}

async function vary(past) {
  const labels = await restore(past);
  const { mask, style } = past;
  runs.renewSeed();
  const run = await make({ mask, style, ...runs.wish() }, labels, past);
  if (run !== null) await gallery.keep(run).catch((error) => runs.fail(error));
}

/** @returns {Promise<{same: boolean, words: string}>} */
async function compareBytes(before, after) {
  const bytesOf = async ({ blob }) => new Uint8Array(await blob.arrayBuffer());
  for (const [i, output] of after.entries()) {
    const [a, b] = await Promise.all([bytesOf(before[i]), bytesOf(output)]);
    const same = a.length === b.length && a.every((byte, at) => byte === b[at]);
    if (!same || before[i].sha256 !== output.sha256) {
      return { same: false, words: whyDifferent(before[i], output) };
    }
  }
  const hashes = after.map(({ sha256 }) => sha256).join(", ");
  return { same: true, words: `The same bytes as before. SHA-256 of both: ${hashes}` };
}

function whyDifferent(before, after) {
  const styleIn = ({ manifest }) => JSON.stringify(JSON.parse(manifest).style);
  if (styleIn(before) !== styleIn(after)) {
    return "The bytes differ: the style of this name is another one now. Compare the two manifests.";
  }
  return (
    "The bytes differ. The service has another checkpoint, version or device than it had then: " +
    "compare the two manifests."
  );
}

async function loadExample() {
  const { folder } = EXAMPLE;
  const [npy, blob] = await Promise.all([service.bytes(`${folder}/mask.npy`), service.blob(`${folder}/tile.png`)]);
  return { npy, mask: decodeNpy(npy), blob };
}

/** Something to look at, unless the user has begun something else by then. The page works without it. */
async function showExample() {
  const example = await loadExample().catch(() => null);
  if (example === null || hasBegun) {
    if (result.isEmpty) showView("mask");
    return;
  }
  const { npy, mask, blob } = example;
  masks.load(mask, "example", { blob: new Blob([npy]), name: "mask.npy", fields: {} });
  showView("tile");
  const { organ, seed } = EXAMPLE;
  const { file, labels, ...facts } = await masks.snapshot();
  const outputs = [{ blob, seed, sha256: null, manifest: null }];
  const style = { kind: "organ", organ };
  const run = { id: null, createdAt: null, mask: file, ...facts, style, seed, n: 1, mpp: "", outputs };
  await result.show(run, labels);
}

masks.addEventListener("edit", () => {
  showView("mask");
  $("mask-view").querySelector("canvas[tabindex]").focus();
});
masks.addEventListener("open", ({ detail }) => {
  showView("mask");
  runs.setMask(detail);
});
styles.addEventListener("change", () => runs.clear());
for (const radio of $("stage-views").querySelectorAll("input")) {
  radio.addEventListener("change", () => showView(radio.value));
}
runs.addEventListener("run", () => busily(makeWished));
for (const [type, act] of Object.entries({ show: showPast, same: sameAgain, vary })) {
  gallery.addEventListener(type, ({ detail }) => busily(() => gallery.attempt(() => act(detail))));
}
for (const [panel, ...types] of [[masks, "begin", "edit"], [runs, "run"], [gallery, "show", "same", "vary"]]) {
  for (const type of types) panel.addEventListener(type, () => (hasBegun = true));
}

showPlaces();
keepPageFromDrops();
gallery.load();
const stylesLoaded = styles.load(EXAMPLE.organ, (organs) => {
  masks.setOrgans(organs);
  datasets.setOrgans(organs);
});
await Promise.all([showExample(), stylesLoaded]);
result.showStyle();
document.documentElement.dataset.ready = "";
