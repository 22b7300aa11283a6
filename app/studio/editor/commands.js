/**
 * Everything the editor can be told to do, with its name, its keys and its drawing. Buttons, keys
 * and the help are made from this table.
 *
 * @typedef {object} Command
 * @property {string} label
 * @property {string[]} keys as KeyboardEvent.key, letters in lower case
 * @property {string} shown the key as it is written for people
 * @property {string} [hint] what it does, for the tooltip
 * @property {string} [icon] path in a square of 20 units
 */

/** @type {Record<string, Command>} */
export const TOOLS = {
  brush: {
    label: "Brush",
    keys: ["b"],
    shown: "B",
    hint: "Paint a nucleus",
    icon: "M16.5 3.5 9.3 10.7M8.2 11.2a2.6 2.6 0 0 1 .6 3.7c-1 1.3-3.2 1.6-5.3 1.1 1.5-1 1.1-2.5 1.7-3.700a2.2 2.2 0 0 1 3-1.100z",
  },
  polygon: {
    label: "Polygon",
    keys: ["p"],
    shown: "P",
    hint: "Click the corners of a nucleus",
    icon: "M10 3.5 16.5 8.2 14 16 6 16 3.5 8.200z",
  },
  erase: {
    label: "Erase",
    keys: ["e"],
    shown: "E",
    hint: "Erase parts of nuclei",
    icon: "M11.5 4 16.5 9 9.5 16 6.5 16 3.5 13zM7.5 8 12.5 13M9.5 16 16.5 16",
  },
  select: {
    label: "Select",
    keys: ["v"],
    shown: "V",
    hint: "Click a nucleus to select it",
    icon: "M5 3 5 15.5 8.3 12.6 10.6 17 12.7 16 10.4 11.7 14.7 11.300z",
  },
  pan: {
    label: "Pan",
    keys: ["h"],
    shown: "H",
    hint: "Move the view",
    icon: "M10 3 10 17M3 10 17 10M7.8 5.2 10 3 12.2 5.200M7.8 14.8 10 17 12.2 14.800M5.2 7.8 3 10 5.2 12.200M14.8 7.8 17 10 14.8 12.2",
  },
};

/** @type {Record<string, Command>} */
export const EDITING = {
  undo: {
    label: "Undo",
    keys: [],
    shown: "Ctrl+Z",
    icon: "M7 4 3.5 7.5 7 11M3.5 7.5 11.5 7.500a4.5 4.5 0 0 1 0 9L8 16.5",
  },
  redo: {
    label: "Redo",
    keys: [],
    shown: "Ctrl+Shift+Z",
    icon: "M13 4 16.5 7.5 13 11M16.5 7.5 8.5 7.500a4.5 4.5 0 0 0 0 9L12 16.5",
  },
  delete: {
    label: "Delete",
    keys: ["Delete", "Backspace"],
    shown: "Delete",
    hint: "Delete the selected nucleus",
    icon: "M4 5.5 16 5.500M8 5.5 8 3.5 12 3.5 12 5.500M5.5 5.5 6.2 16.5 13.8 16.5 14.5 5.500M8.5 8.5 8.5 13.500M11.5 8.5 11.5 13.5",
  },
};

/** @type {Record<string, Command>} */
export const VIEWING = {
  zoomOut: { label: "Zoom out", keys: ["-"], shown: "-", icon: "M4 10 16 10" },
  zoomIn: { label: "Zoom in", keys: ["+", "="], shown: "+", icon: "M4 10 16 10M10 4 10 16" },
  fit: { label: "Fit", keys: ["0"], shown: "0", hint: "Show all of the mask" },
  actualSize: {
    label: "100 %",
    keys: ["1"],
    shown: "1",
    hint: "One pixel of the mask per pixel of the page",
  },
};

/** @type {Record<string, Command>} */
export const WITHOUT_BUTTON = {
  smaller: { label: "Smaller brush", keys: ["["], shown: "[" },
  larger: { label: "Larger brush", keys: ["]"], shown: "]" },
  cancel: { label: "Cancel the stroke or polygon", keys: ["Escape"], shown: "Esc" },
};

/** What the keys do on the canvas, for the help. */
export const CANVAS_KEYS = [
  ["Arrow keys", "Move the crosshair one pixel; with Shift ten"],
  ["Space", "Begin or end a stroke; set a corner; select"],
  ["Enter", "The same; closes a polygon of three or more corners"],
  ["Backspace", "Remove the last corner of a polygon"],
  ["N, Shift+N", "Select the next or the previous nucleus"],
];

export const COMMANDS = { ...TOOLS, ...EDITING, ...VIEWING, ...WITHOUT_BUTTON };

const BY_KEY = new Map(
  Object.entries(COMMANDS).flatMap(([name, { keys }]) => keys.map((key) => [key, name])),
);

/** @param {string} key of a KeyboardEvent @returns {string | null} name of the command */
export function commandOfKey(key) {
  return BY_KEY.get(key.length === 1 ? key.toLowerCase() : key) ?? null;
}
