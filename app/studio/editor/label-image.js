/**
 * An instance mask in memory, with what the editor must know about it at any moment: which ids
 * there are, how many pixels each has, and where.
 *
 * @typedef {import("./raster.js").Spans} Spans
 * @typedef {{x0: number, y0: number, x1: number, y1: number}} Rect columns and rows, x1 and y1 exclusive
 * @typedef {object} Change pixels that were all given one value
 * @property {number} value the id they have after it; 0 is background
 * @property {Int32Array} runs triples `index of the first pixel, length, id before`
 * @property {number} pixels how many
 * @property {Rect} rect that holds them all
 */

/** Ids are signed 32-bit integers, in the service as well. */
export const MAX_ID = 2 ** 31 - 1;

export class LabelImage {
  /** @type {Map<number, Rect & {pixels: number}>} */
  #nuclei = new Map();
  #maxId = 0;

  /**
   * @param {Int32Array} labels width * height ids, row by row, 0 for background; used as it is
   * @param {number} width in pixels
   * @param {number} height in pixels
   * @throws {RangeError} the length is not width * height, or an id is negative
   */
  constructor(labels, width, height) {
    if (!(labels instanceof Int32Array) || labels.length !== width * height) {
      throw new RangeError(
        `A mask of ${width} x ${height} px needs an Int32Array of ${width * height} ids; got ` +
          `${labels?.length ?? "none"}.`,
      );
    }
    this.labels = labels;
    this.width = width;
    this.height = height;
    this.#scan();
  }

  get nuclei() {
    return this.#nuclei.size;
  }

  /** All ids in ascending order. */
  ids() {
    return [...this.#nuclei.keys()].sort((a, b) => a - b);
  }

  has(id) {
    return this.#nuclei.has(id);
  }

  /** Number of pixels of a nucleus, 0 if there is none with this id. */
  pixels(id) {
    return this.#nuclei.get(id)?.pixels ?? 0;
  }

  /**
   * A rectangle that holds the nucleus. It may be too large once parts have been erased.
   *
   * @param {number} id
   * @returns {Rect | null}
   */
  extent(id) {
    return this.#nuclei.get(id) ?? null;
  }

  /** The id at a pixel, 0 for background and outside the image. */
  at(x, y) {
    return x < 0 || y < 0 || x >= this.width || y >= this.height
      ? 0
      : this.labels[y * this.width + x];
  }

  /** The id for a new nucleus: one more than the largest, or the smallest free one at the limit. */
  nextId() {
    if (this.#maxId < 0) this.#maxId = this.ids().at(-1) ?? 0;
    if (this.#maxId < MAX_ID) return this.#maxId + 1;
    let id = 1;
    while (this.has(id)) id++;
    return id;
  }

  /**
   * Begin to give pixels a value.
   *
   * @param {number} value the id they get; 0 erases
   * @param {number | null} over change only pixels that have this id now (0: background); null: all
   * @returns {Edit}
   */
  edit(value, over) {
    return new Edit(this, value, over);
  }

  /** Take a change back. @param {Change} change */
  revert({ value, runs }) {
    for (let i = 0; i < runs.length; i += 3) this.write(runs[i], runs[i + 1], value, runs[i + 2]);
  }

  /** Make a change that was taken back again. @param {Change} change */
  repeat({ value, runs }) {
    for (let i = 0; i < runs.length; i += 3) this.write(runs[i], runs[i + 1], runs[i + 2], value);
  }

  /** Give `length` pixels of one row, which all have the id `before`, the id `after`. */
  write(start, length, before, after) {
    this.labels.fill(after, start, start + length);
    if (before !== 0) this.#remove(before, length);
    if (after !== 0) this.#add(after, start, length);
  }

  #scan() {
    const { labels, width, height } = this;
    for (let row = 0; row < width * height; row += width) {
      for (let i = row; i < row + width;) {
        const id = labels[i];
        const start = i;
        while (i < row + width && labels[i] === id) i++;
        if (id < 0) throw new RangeError(`Ids of nuclei are 1 or more; the mask has ${id}.`);
        if (id !== 0) this.#add(id, start, i - start);
      }
    }
  }

  #add(id, start, length) {
    const x0 = start % this.width;
    const y0 = (start - x0) / this.width;
    const nucleus = this.#nuclei.get(id);
    if (nucleus === undefined) {
      this.#nuclei.set(id, { x0, y0, x1: x0 + length, y1: y0 + 1, pixels: length });
      if (this.#maxId >= 0) this.#maxId = Math.max(this.#maxId, id);
      return;
    }
    nucleus.pixels += length;
    nucleus.x0 = Math.min(nucleus.x0, x0);
    nucleus.y0 = Math.min(nucleus.y0, y0);
    nucleus.x1 = Math.max(nucleus.x1, x0 + length);
    nucleus.y1 = Math.max(nucleus.y1, y0 + 1);
  }

  #remove(id, length) {
    const nucleus = this.#nuclei.get(id);
    nucleus.pixels -= length;
    if (nucleus.pixels > 0) return;
    this.#nuclei.delete(id);
    if (id === this.#maxId) this.#maxId = -1; // found again when it is asked for
  }
}

/** A change in the making. Its pixels change at once; `finish` makes it one step of the history. */
class Edit {
  #image;
  #runs = new Int32Array(96);
  #used = 0;
  #pixels = 0;
  /** @type {Rect | null} */
  #rect = null;

  constructor(image, value, over) {
    this.#image = image;
    this.value = value;
    this.over = over;
  }

  get pixels() {
    return this.#pixels;
  }

  /**
   * Give pixels the value, those outside the image and those that must not change left out.
   *
   * @param {Spans} spans
   * @returns {Rect | null} where pixels changed
   */
  fill(spans) {
    const { width, height } = this.#image;
    let changed = null;
    for (let i = 0; i < spans.length; i += 3) {
      const y = spans[i];
      const first = Math.max(spans[i + 1], 0);
      const end = Math.min(spans[i + 2] + 1, width);
      if (y < 0 || y >= height || first >= end) continue;
      if (this.#fillRow(y * width + first, y * width + end)) {
        changed = union(changed, { x0: first, y0: y, x1: end, y1: y + 1 });
      }
    }
    this.#rect = union(this.#rect, changed);
    return changed;
  }

  /** @returns {Change | null} null if no pixel changed */
  finish() {
    if (this.#rect === null) return null;
    const runs = this.#runs.slice(0, this.#used);
    return { value: this.value, runs, pixels: this.#pixels, rect: this.#rect };
  }

  #fillRow(start, end) {
    const { labels } = this.#image;
    const pixelsBefore = this.#pixels;
    for (let i = start; i < end;) {
      const before = labels[i];
      const first = i;
      while (i < end && labels[i] === before) i++;
      if (before === this.value || (this.over !== null && before !== this.over)) continue;
      this.#image.write(first, i - first, before, this.value);
      this.#record(first, i - first, before);
    }
    return this.#pixels > pixelsBefore;
  }

  #record(start, length, before) {
    if (this.#used + 3 > this.#runs.length) {
      const larger = new Int32Array(this.#runs.length * 2);
      larger.set(this.#runs);
      this.#runs = larger;
    }
    this.#runs.set([start, length, before], this.#used);
    this.#used += 3;
    this.#pixels += length;
  }
}

/**
 * @param {Rect | null} a
 * @param {Rect | null} b
 * @returns {Rect | null}
 */
export function union(a, b) {
  if (a === null || b === null) return a ?? b;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

/**
 * @param {Rect} a
 * @param {Rect} b
 * @returns {Rect | null} what they share
 */
export function intersection(a, b) {
  const x0 = Math.max(a.x0, b.x0);
  const y0 = Math.max(a.y0, b.y0);
  const x1 = Math.min(a.x1, b.x1);
  const y1 = Math.min(a.y1, b.y1);
  return x0 < x1 && y0 < y1 ? { x0, y0, x1, y1 } : null;
}
