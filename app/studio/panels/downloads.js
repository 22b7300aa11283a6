/** What can be kept of a run: tile, mask in any format, manifest, or all together. */

import { element } from "../editor/dom.js";
import { clearProblem, showNote, showProblem, wasStopped } from "../parts/problem.js";
import { save } from "../parts/save.js";
import { convertMask } from "../service/masks.js";
import { zip } from "../service/zip.js";

const FORMATS = {
  png: ["PNG", "png"],
  tiff: ["TIFF", "tif"],
  npy: [".npy", "npy"],
  geojson: ["GeoJSON (QuPath)", "geojson"],
  coco: ["COCO", "coco.json"],
  mat: [".mat (HoVer-Net)", "mat"],
  xml: ["Aperio XML", "xml"],
  pannuke: ["PanNuke", "pannuke.npy"],
};

const host = document.getElementById("downloads");
const problem = document.getElementById("download-problem");
/** Of the mask that is being converted. */
let work = new AbortController();

/**
 * @param {import("../service/service.js").Service} service
 * @param {import("./result.js").Run} run
 * @param {number} index of the tile that is shown
 */
export function showDownloads(service, run, index) {
  const output = run.outputs[index];
  const format = element(
    "select",
    { ariaLabel: "Format of the mask" },
    ...Object.entries(FORMATS).map(([value, [label]]) => new Option(label, value)),
  );
  const button = (label, act) =>
    element("button", { type: "button", onclick: () => attempt(act) }, label);
  const buttons = [
    button("Download tile", () => save(output.blob, tileName(run, index))),
    element(
      "span",
      { className: "with-button" },
      button("Download mask as", async () => {
        const blob = await converted(service, run.mask, format.value);
        save(blob, `mask.${FORMATS[format.value][1]}`);
      }),
      format,
    ),
  ];
  if (output.manifest !== null) {
    const json = new Blob([output.manifest], { type: "application/json" });
    buttons.push(button("Manifest", () => save(json, `${stem(run, index)}.json`)));
    buttons.push(button("All as ZIP", async () => save(await bundle(service, run), `sian-${run.seed}.zip`)));
  }
  clearProblem(problem);
  host.replaceChildren(...buttons);
}

async function attempt(act) {
  clearProblem(problem);
  try {
    await act();
  } catch (error) {
    if (!wasStopped(error)) showProblem(problem, error);
  }
}

/**
 * What is asked for later stops what was asked for before, and may be waiting still.
 *
 * @returns {Promise<Blob>} the mask with the same ids in another format
 */
async function converted(service, mask, format) {
  work.abort();
  const { signal } = (work = new AbortController());
  const onWait = (left) => showNote(problem, `The service is busy. Next try in ${left} s.`);
  const blob = await convertMask(service, mask, format, { signal, onWait });
  clearProblem(problem); // there may be a note
  return blob;
}

async function bundle(service, run) {
  const files = [["mask.tif", await converted(service, run.mask, "tiff")]];
  if (run.style.kind === "image") files.push([`style-${run.style.name}`, run.style.blob]);
  run.outputs.forEach((output, index) => {
    files.push([tileName(run, index), output.blob]);
    files.push([`${stem(run, index)}.json`, new Blob([output.manifest])]);
  });
  const read = async ([name, blob]) => ({ name, data: new Uint8Array(await blob.arrayBuffer()) });
  return zip(await Promise.all(files.map(read)));
}

function stem(run, index) {
  return run.outputs.length === 1 ? "tile" : `tile-${index}`;
}

function tileName(run, index) {
  return `${stem(run, index)}.${run.outputs[index].blob.type === "image/tiff" ? "tif" : "png"}`;
}
