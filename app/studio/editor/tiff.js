/**
 * Instance masks as TIFF files, compressed: those of large images would be too large an upload as
 * .npy.
 */

const STRIP_PX = 1 << 18; // 1 MiB each: readers need not unpack the whole image at once
const SHORT = 3;
const LONG = 4;
const BYTES = { [SHORT]: 2, [LONG]: 4 };
const DEFLATE = 8;

/**
 * @param {Int32Array} labels width * height ids
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>} the file: 32 bits a pixel, unsigned, little-endian
 * @throws {RangeError} the length is not width * height
 */
export async function encodeTiff(labels, width, height) {
  if (labels.length !== width * height) {
    throw new RangeError(`${labels.length} ids do not fill ${width} x ${height} px.`);
  }
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP_PX / width)));
  const strips = [];
  for (let first = 0; first < labels.length; first += rows * width) {
    strips.push(await deflated(labels.subarray(first, first + rows * width)));
  }
  return new Blob([directory(width, height, rows, strips), ...strips], { type: "image/tiff" });
}

/** @param {Int32Array} ids @returns {Promise<ArrayBuffer>} as a zlib stream */
async function deflated(ids) {
  const packed = new Blob([ids]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Response(packed).arrayBuffer();
}

/** Header and image file directory (TIFF 6.0, section 2); the strips come after them. */
function directory(width, height, rows, strips) {
  const sizes = strips.map((strip) => strip.byteLength);
  const tags = [
    [256, LONG, [width]], // ImageWidth
    [257, LONG, [height]], // ImageLength
    [258, SHORT, [32]], // BitsPerSample
    [259, SHORT, [DEFLATE]], // Compression
    [262, SHORT, [1]], // PhotometricInterpretation: black is zero
    [273, LONG, sizes.map(() => 0)], // StripOffsets, known when the length of this part is
    [277, SHORT, [1]], // SamplesPerPixel
    [278, LONG, [rows]], // RowsPerStrip
    [279, LONG, sizes], // StripByteCounts
    [339, SHORT, [1]], // SampleFormat: unsigned
  ];
  const fixed = 8 + 2 + 12 * tags.length + 4;
  const lengthOf = ([, type, values]) => BYTES[type] * values.length;
  const beside = tags.filter((tag) => lengthOf(tag) > 4).reduce((sum, tag) => sum + lengthOf(tag), 0);
  let offset = fixed + beside;
  tags[5][2] = sizes.map((size) => (offset += size) - size);

  const view = new DataView(new ArrayBuffer(fixed + beside));
  view.setUint16(0, 0x4949, true); // little-endian
  view.setUint16(2, 42, true);
  view.setUint32(4, 8, true);
  view.setUint16(8, tags.length, true);
  let free = fixed;
  for (const [index, tag] of tags.entries()) {
    const [number, type, values] = tag;
    const entry = 10 + 12 * index;
    view.setUint16(entry, number, true);
    view.setUint16(entry + 2, type, true);
    view.setUint32(entry + 4, values.length, true);
    let at = entry + 8;
    if (lengthOf(tag) > 4) {
      view.setUint32(at, free, true);
      at = free;
      free += lengthOf(tag);
    }
    values.forEach((value, i) =>
      type === SHORT ? view.setUint16(at + 2 * i, value, true) : view.setUint32(at + 4 * i, value, true),
    );
  }
  return view.buffer;
}
