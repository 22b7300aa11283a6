/** What a dataset may hold beside tiles and label PNGs, and what that takes in its bundle. */

/** Bytes of a tile of 256 x 256 px, with its label PNG and provenance. They grow with the area. */
export const BYTES_WITHOUT = 123_000;

/**
 * Formats of annotations by their name in the API.
 *
 * @type {Record<string, {name: string, hint: string, bytes: number}>} bytes: of a tile of
 *   256 x 256 px
 */
export const FORMATS = {
  coco: { name: "COCO", hint: "One JSON of run lengths, for detection models", bytes: 1700 },
  mat: { name: "HoVer-Net .mat", hint: "inst_map, a file for each tile", bytes: 2800 },
  pannuke: { name: "PanNuke", hint: "Three .npy arrays of all tiles", bytes: 191_000 },
  geojson: { name: "GeoJSON", hint: "Outlines to drag onto a tile in QuPath", bytes: 4400 },
  xml: { name: "Aperio XML", hint: "Outlines for ImageScope, as in MoNuSeg", bytes: 5900 },
  tiff: { name: "TIFF", hint: "Label images, for Fiji and others", bytes: 2500 },
  npy: { name: "NumPy .npy", hint: "Arrays of ids, for Python", bytes: 2900 },
};
