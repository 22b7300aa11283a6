/** ZIP files without compression: tiles are compressed already. */

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
const VERSION = 20;
const UTF8_NAMES = 0x0800;
// 1980-01-01, the first day there is: the same files give the same ZIP.
const DATE = 0x21;
const LARGEST = 2 ** 32 - 1;

/**
 * @param {{name: string, data: Uint8Array}[]} files
 * @returns {Blob}
 * @throws {RangeError} together they are larger than 4 GiB, or more than 65,535
 */
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, data } of files) {
    const bytes = new TextEncoder().encode(name);
    const fields = [VERSION, UTF8_NAMES, 0, 0, DATE];
    const sizes = [crc32(data), data.length, data.length];
    const header = record(0x04034b50, fields, sizes, [bytes.length, 0], [], bytes);
    directory.push(record(0x02014b50, [VERSION, ...fields], sizes, [bytes.length, 0, 0, 0, 0], [0, offset], bytes));
    parts.push(header, data);
    offset += header.length + data.length;
  }
  const length = directory.reduce((sum, entry) => sum + entry.length, 0);
  if (offset + length > LARGEST || files.length > 0xffff) {
    throw new RangeError("The files are too large for one ZIP; download them one by one.");
  }
  const end = record(0x06054b50, [0, 0, files.length, files.length], [length, offset], [0], [], new Uint8Array());
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Numbers of 32, 16, 32, 16 and 32 bits, little-endian, then a name. */
function record(signature, shorts, longs, moreShorts, moreLongs, name) {
  const size = 4 + 2 * (shorts.length + moreShorts.length) + 4 * (longs.length + moreLongs.length);
  const bytes = new Uint8Array(size + name.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put16 = (value) => (view.setUint16(at, value, true), (at += 2));
  const put32 = (value) => (view.setUint32(at, value, true), (at += 4));
  put32(signature);
  shorts.forEach(put16);
  longs.forEach(put32);
  moreShorts.forEach(put16);
  moreLongs.forEach(put32);
  bytes.set(name, size);
  return bytes;
}

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
