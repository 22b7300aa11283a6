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

const RUN_UNDER_WAY = "A run is under way. Wait for it or cancel it.";
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
/** How many things are being done that end with a tile on the stage. */
let atWork = 0;

function showView(name) {
  for (const radio of $("stage-views").querySelectorAll("input")) radio.checked = radio.value === name;
  $("mask-view").hidden = name !== "mask";
  $("tile-view").hidden = $("tile-foot").hidden = name !== "tile";
}

function showTile() {
  showView("tile");
  $("stage-title").focus();
}

/** Show the tile. Who draws meanwhile is told that it is there, and goes on. */
function offerTile(version) {
  const isAtMask = !$("mask-view").hidden;
  if (isAtMask && (masks.isDrawing || masks.version !== version)) {
    runs.tell("The tile is ready.", { label: "Show it", run: showTile });
  } else {
    showTile();
  }
}

/**
 * Make tiles and show them.
 *
 * @param {import("./service/synthesis.js").Wish} wish
 * @param {Int32Array} labels of its mask
 * @param {{width: number, height: number, nuclei: number}} facts
 * @param {(run: import("./panels/result.js").Run) => Promise<void>} then what is done with them; also
 *   if this attempt comes to nothing and the user tries again
 */
async function make(wish, labels, facts, then) {
  const { version } = masks;
  const made = await runs.run(wish, () => busily(() => make(wish, labels, facts, then)));
  gallery.tell(null); // that a run is under way
  if (made === null) return;
  const { width, height, nuclei } = facts;
  const run = { ...wish, ...made, width, height, nuclei };
  try {
    await result.show(run, labels);
    result.prove(null);
    offerTile(version);
    await then(run);
  } catch (error) {
    runs.fail(error);
  }
}

/** Something that ends with a tile on the stage; assistive technology waits for it. */
async function busily(work) {
  atWork++;
  $("stage").ariaBusy = "true";
  try {
    return await work();
  } finally {
    $("stage").ariaBusy = String(--atWork > 0);
  }
}

async function makeWished() {
  try {
    const style = styles.value;
    const { file, labels, version, ...facts } = await masks.snapshot();
    const wish = runs.wish();
    if (wish === null) return;
    await make({ ...wish, mask: file, style }, labels, facts, async (run) => {
      await gallery.keep(run);
      masks.keep(version);
    });
  } catch (error) {
    runs.fail(error);
  }
}

/** Whether nothing may be replaced now, for a run ends with its own tile on the stage. The user is told. */
function isRefused() {
  if (runs.underWay) gallery.tell(RUN_UNDER_WAY);
  return runs.underWay;
}

/**
 * Put a past run back onto the page.
 *
 * @returns {Promise<Int32Array | null>} the ids of its mask; null: it is not put back, as the user
 *   wants it or was told
 */
async function restore(run) {
  if (isRefused()) return null;
  const onWait = (left) => gallery.tell(`The service is busy. Next try in ${left} s.`);
  const labels = await masks.recall(run.mask, { onWait, mayLoad: () => !isRefused() });
  if (labels === null) return null;
  gallery.tell(null);
  styles.value = run.style;
  runs.show(run);
  location.hash = "#tile";
  return labels;
}

async function showPast(run) {
  const labels = await restore(run);
  if (labels === null) return;
  styles.tellAbsent();
  await result.show(run, labels);
  result.prove(null);
  showTile();
}

async function sameAgain(past) {
  const labels = await restore(past);
  if (labels === null) return;
  const { mask, style, seed, n, mpp, outputs } = past;
  await make({ mask, style, seed, n, mpp }, labels, past, async (run) => {
    result.prove(await compareBytes(outputs, run.outputs));
  });
}

async function vary(past) {
  const labels = await restore(past);
  if (labels === null) return;
  const { mask, style } = past;
  runs.renewSeed();
  const wish = runs.wish();
  if (wish !== null) await make({ mask, style, ...wish }, labels, past, (run) => gallery.keep(run));
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
  masks.load({ mask, name: "example", source: { blob: new Blob([npy]), name: "mask.npy", fields: {} } });
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

addEventListener("beforeunload", (event) => {
  if (masks.hasDrawings || runs.underWay) event.preventDefault(); // the browser asks
});

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
