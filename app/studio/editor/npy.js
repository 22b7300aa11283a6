/**
 * Instance masks as .npy files (NumPy's format 1.0 to 3.0), so that ids of up to 31 bits reach and
 * leave the service exactly.
 */

const MAGIC = "\x93NUMPY";
const ALIGNMENT = 64;
const BYTES = { b1: 1, u1: 1, i1: 1, u2: 2, i2: 2, u4: 4, i4: 4, u8: 8, i8: 8 };

/** A file that is no .npy, is cut short, or holds no instance mask. */
export class NpyError extends Error {
  name = "NpyError";
}

/**
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @returns {Uint8Array} the file: int32, little-endian, shape (height, width)
 * @throws {RangeError} the length is not width * height
 */
export function encodeNpy(labels, width, height) {
  if (labels.length !== width * height) {
    throw new RangeError(`${labels.length} ids do not fill ${width} x ${height} px.`);
  }
  const dictionary = `{'descr': '<i4', 'fortran_order': False, 'shape': (${height}, ${width}), }`;
  const start = Math.ceil((10 + dictionary.length + 1) / ALIGNMENT) * ALIGNMENT;
  const header = `${dictionary.padEnd(start - 11)}\n`;
  const file = new Uint8Array(start + 4 * labels.length);
  file.set(Uint8Array.from(MAGIC, (letter) => letter.charCodeAt(0)));
  file.set([1, 0, header.length & 255, header.length >> 8], 6);
  file.set(new TextEncoder().encode(header), 10);
  new Int32Array(file.buffer, start).set(labels);
  return file;
}

/**
 * @param {ArrayBuffer} buffer the file
 * @returns {{labels: Int32Array, width: number, height: number}}
 * @throws {NpyError} it is no .npy of a two-dimensional integer array with values 0 to 2^31 - 1
 */
export function decodeNpy(buffer) {
  const { start, kind, bigEndian, fortran, shape } = readHeader(buffer);
  if (shape.length !== 2) {
    throw new NpyError(
      `The array has ${shape.length} dimensions; a mask has two: rows and columns.`,
    );
  }
  const [height, width] = shape;
  const end = start + height * width * BYTES[kind];
  if (buffer.byteLength < end) {
    throw new NpyError(`The file has ${buffer.byteLength} bytes of ${end}; it was cut short.`);
  }
  const bytes = buffer.slice(start, end);
  if (bigEndian) swapBytes(new Uint8Array(bytes), BYTES[kind]);
  const values = toInt32(bytes, kind);
  return { labels: fortran ? transposed(values, width, height) : values, width, height };
}

function readHeader(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC || bytes.length < 12) {
    throw new NpyError("The file is no .npy: it does not begin as one.");
  }
  const view = new DataView(buffer);
  const [length, first] =
    bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder().decode(bytes.subarray(first, first + length));
  const type = /'descr':\s*'([<>|=]?)(\w+)'/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header);
  const shape = /'shape':\s*\(([\d\s,]*)\)/.exec(header);
  if (type === null || order === null || shape === null) {
    throw new NpyError("The header of the .npy file cannot be read; write it with numpy.save.");
  }
  if (!(type[2] in BYTES)) {
    throw new NpyError(
      `The array holds ${type[2]}; a mask holds integers. Convert it with astype.`,
    );
  }
  return {
    start: first + length,
    kind: type[2],
    bigEndian: type[1] === ">",
    fortran: order[1] === "True",
    shape: (shape[1].match(/\d+/g) ?? []).map(Number),
  };
}

function toInt32(bytes, kind) {
  switch (kind) {
    case "b1":
    case "u1":
      return new Int32Array(new Uint8Array(bytes));
    case "u2":
      return new Int32Array(new Uint16Array(bytes));
    case "i1":
      return checked(new Int32Array(new Int8Array(bytes)));
    case "i2":
      return checked(new Int32Array(new Int16Array(bytes)));
    case "i4":
    case "u4": // one above 2^31 - 1 is negative here
      return checked(new Int32Array(bytes));
    default:
      return lowHalves(new Int32Array(bytes));
  }
}

/** 64-bit integers by their low halves, which is all of them that a valid id has. */
function lowHalves(halves) {
  const labels = new Int32Array(halves.length / 2);
  for (let i = 0; i < labels.length; i++) {
    if (halves[2 * i + 1] !== 0) throw outOfRange();
    labels[i] = halves[2 * i];
  }
  return checked(labels);
}

function checked(labels) {
  for (let i = 0; i < labels.length; i++) if (labels[i] < 0) throw outOfRange();
  return labels;
}

function outOfRange() {
  return new NpyError("An id is below 0 or above 2147483647; ids of nuclei are 1 to 2147483647.");
}

function swapBytes(bytes, size) {
  for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
}

function transposed(columns, width, height) {
  const labels = new Int32Array(columns.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) labels[y * width + x] = columns[x * height + y];
  }
  return labels;
}
