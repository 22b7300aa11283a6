/**
 * A colour for every id. The same id has the same colour everywhere; ids that follow one another
 * are far apart in hue. Lightness stays in a band that has a contrast of 3:1 or more both on white
 * and on near black.
 */

const GOLDEN_RATIO = 0.6180339887498949;

// Ids a Fibonacci number apart come close in hue; they differ in lightness and chroma instead.
const TONES = [
  { lightness: 0.62, chroma: 0.13 },
  { lightness: 0.54, chroma: 0.12 },
  { lightness: 0.53, chroma: 0.1 },
  { lightness: 0.61, chroma: 0.08 },
  { lightness: 0.57, chroma: 0.11 },
  { lightness: 0.63, chroma: 0.1 },
];

/**
 * @param {number} id 1 or more
 * @returns {[number, number, number]} red, green, blue, each 0 to 255
 */
export function colourOf(id) {
  const hue = 2 * Math.PI * ((id * GOLDEN_RATIO) % 1);
  const { lightness, chroma } = TONES[id % TONES.length];
  return fromOklab(lightness, chroma * Math.cos(hue), chroma * Math.sin(hue));
}

/** @param {number} id @param {number} [alpha] 0 to 1 @returns {string} the colour as CSS writes it */
export function cssColour(id, alpha = 1) {
  return `rgb(${colourOf(id).join(" ")} / ${alpha})`;
}

/**
 * Oklab to sRGB (Björn Ottosson, 2020), cut to what a screen can show.
 *
 * @returns {[number, number, number]} bytes
 */
function fromOklab(lightness, a, b) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toByte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toByte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toByte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function toByte(linear) {
  const value = Math.min(Math.max(linear, 0), 1);
  const encoded = value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(255 * encoded);
}
