// The editor alone on a page, and its modules where a test can reach them.

import * as colours from "/editor/colours.js";
import { History } from "/editor/history.js";
import { LabelImage } from "/editor/label-image.js";
import { MaskEditor } from "/editor/mask-editor.js";
import * as npy from "/editor/npy.js";
import * as tiff from "/editor/tiff.js";
import * as outlines from "/editor/outlines.js";
import * as raster from "/editor/raster.js";

/** A new editor in the place of the one that was there. */
function begin() {
  const host = document.getElementById("editor");
  host.replaceChildren();
  const editor = new MaskEditor(host);
  const events = [];
  for (const type of ["change", "select"]) {
    editor.addEventListener(type, ({ detail }) => events.push({ type, ...detail }));
  }
  Object.assign(window, { editor, events });
}

begin();
Object.assign(window, { begin, colours, npy, outlines, raster, tiff, History, LabelImage });
document.documentElement.dataset.ready = "true";
