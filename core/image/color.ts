/**
 * Colour operations on 8-bit RGB images, as torchvision's tensor path (transforms.v2.functional on uint8)
 * has them.
 *
 * They give torchvision's bytes, not nearly so: float32 steps are repeated with `Math.fround`, and a fused
 * multiply-add is a float64 product and sum rounded once. Only `hue` works in float64 and may differ by one
 * grey level. Where torchvision's Pillow path differs (contrast about a rounded mean, a Pillow gray of other
 * weights, hue with 256 steps), the tensor path is followed.
 *
 * An operation on one channel value is a table of 256 entries, so it costs the same whatever its formula is.
 * Each function returns a new image [height, width, 3] and leaves its argument alone.
 */
import type { Image } from "../data/dataset.js";
import { TrainerError } from "../errors.js";

const f32 = Math.fround;

// Scratch tables, written whole before each use: a fresh table a call costs more than the operation on a
// small image.
const red = new Uint8Array(256);
const green = new Uint8Array(256);
const blue = new Uint8Array(256);
const channels = [red, green, blue] as const;
const scaled = new Float64Array(256);

// Rec. 601 weights as torchvision rounds them. Products are kept in float64: a fused multiply-add does not
// round them.
const grayRed = Float64Array.from({ length: 256 }, (_, value) => f32(value * f32(0.2989)));
const grayGreen = Float64Array.from({ length: 256 }, (_, value) => value * f32(0.587));
const grayBlue = Float64Array.from({ length: 256 }, (_, value) => value * f32(0.114));

/** Multiplies every value by `factor` (>= 0; 1 changes nothing), cut off at 255. */
export function brightness(image: Image, factor: number): Image {
  requireFactor("brightness", factor);
  const ratio = f32(factor);
  for (let value = 0; value < 256; value++) red[value] = toByte(f32(value * ratio));
  return mapValues(image, red);
}

/** Blends with the image's mean gray: `factor` 0 is flat gray, 1 changes nothing, more exaggerates. */
export function contrast(image: Image, factor: number): Image {
  requireFactor("contrast", factor);
  const ratio = f32(factor);
  const offset = f32(1 - factor) * meanGray(image);
  for (let value = 0; value < 256; value++) red[value] = toByte(f32(f32(value * ratio) + offset));
  return mapValues(image, red);
}

/** Blends with the gray image: `factor` 0 is gray, 1 changes nothing, more is more colourful. */
export function saturation(image: Image, factor: number): Image {
  requireFactor("saturation", factor);
  const ratio = f32(factor);
  const rest = f32(1 - factor);
  for (let value = 0; value < 256; value++) scaled[value] = f32(value * ratio);
  const { pixels } = image;
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at + 2 < out.length; at += 3) {
    const offset = rest * grayAt(pixels, at);
    out[at] = toByte(f32(scaled[pixels[at]!]! + offset));
    out[at + 1] = toByte(f32(scaled[pixels[at + 1]!]! + offset));
    out[at + 2] = toByte(f32(scaled[pixels[at + 2]!]! + offset));
  }
  return withPixels(image, out);
}

/**
 * Shifts the hue by `factor` of the colour circle, in [-0.5, 0.5]; 0 changes nothing.
 *
 * In HSV the largest and the smallest channel keep their values and swap places, so only the middle one is
 * computed.
 */
export function hue(image: Image, factor: number): Image {
  if (!(factor >= -0.5 && factor <= 0.5)) {
    throw new TrainerError("ERR_OPTION", `hue: the factor is ${factor}; it must lie in [-0.5, 0.5].`);
  }
  const { pixels } = image;
  const out = new Uint8Array(pixels.length);
  // torchvision goes back to bytes by 255.999 and cutting off the fraction.
  const scale = 255.999 / 255;
  const turn = factor < 0 ? factor * 6 + 6 : factor * 6;
  for (let at = 0; at + 2 < out.length; at += 3) {
    const r = pixels[at]!;
    const g = pixels[at + 1]!;
    const b = pixels[at + 2]!;
    const high = r > g ? (r > b ? r : b) : g > b ? g : b;
    const low = r < g ? (r < b ? r : b) : g < b ? g : b;
    const spread = high - low;
    if (spread === 0) {
      out[at] = out[at + 1] = out[at + 2] = high;
      continue;
    }
    let sixth = high === r ? (g - b) / spread : high === g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
    sixth += turn;
    if (sixth < 0) sixth += 6;
    if (sixth >= 6) sixth -= 6;
    const sector = sixth | 0;
    const within = (sixth - sector) * spread;
    const middle = (scale * ((sector & 1) === 0 ? low + within : high - within)) | 0;
    out[at] = sector === 0 || sector === 5 ? high : sector === 2 || sector === 3 ? low : middle;
    out[at + 1] = sector === 1 || sector === 2 ? high : sector === 4 || sector === 5 ? low : middle;
    out[at + 2] = sector === 3 || sector === 4 ? high : sector === 0 || sector === 1 ? low : middle;
  }
  return withPixels(image, out);
}

/**
 * Blends with a smoothed image (3 x 3, centre weight 5): `factor` 0 is smooth, 1 changes nothing, more is
 * sharper. The outermost pixels stay, and so does an image of less than 3 pixels on a side.
 */
export function sharpness(image: Image, factor: number): Image {
  requireFactor("sharpness", factor);
  const { pixels, height, width } = image;
  const out = new Uint8Array(pixels); // slice() of a Buffer would not copy
  const rest = f32(1 - factor);
  const stride = width * 3;
  for (let row = 1; row < height - 1; row++) {
    for (let channel = 0; channel < 3; channel++) {
      // Along a row, the sums of the columns to the left, here, and to the right.
      let at = row * stride + channel;
      const end = at + stride - 3;
      let left = pixels[at - stride]! + pixels[at]! + pixels[at + stride]!;
      at += 3;
      let value = pixels[at]!;
      let here = pixels[at - stride]! + value + pixels[at + stride]!;
      for (; at < end; at += 3) {
        const next = pixels[at + 3]!;
        const right = pixels[at + 3 - stride]! + next + pixels[at + 3 + stride]!;
        // A thirteenth by multiplication. Thirteenths never tie: this is round-half-even of the float32
        // convolution.
        const smooth = ((left + here + right + 4 * value + 6) * 5042) >>> 16;
        out[at] = toByte(f32(value + (smooth - value) * rest));
        left = here;
        here = right;
        value = next;
      }
    }
  }
  return withPixels(image, out);
}

/** Keeps the upper `bits` (0 to 8) of every value. */
export function posterize(image: Image, bits: number): Image {
  if (!(Number.isInteger(bits) && bits >= 0 && bits <= 8)) {
    throw new TrainerError("ERR_OPTION", `posterize: bits is ${bits}; it must be an integer from 0 to 8.`);
  }
  const mask = (0xff00 >> bits) & 0xff;
  return mapBits(image, mask * 0x01010101, 0);
}

/**
 * Inverts the values that reach `threshold` (0 to 255; compared as float32). Beyond 255 nothing is inverted.
 */
export function solarize(image: Image, threshold: number): Image {
  if (Number.isNaN(threshold)) {
    throw new TrainerError("ERR_OPTION", "solarize: the threshold is NaN; it must be a number from 0 to 255.");
  }
  const limit = f32(threshold);
  for (let value = 0; value < 256; value++) red[value] = value >= limit ? 255 - value : value;
  return mapValues(image, red);
}

/** Inverts every value: 255 - value. */
export function invert(image: Image): Image {
  return mapBits(image, -1, -1);
}

/** Stretches each channel so that its smallest value becomes 0 and its largest 255; a flat channel stays. */
export function autocontrast(image: Image): Image {
  const { pixels } = image;
  const step = f32(1 / 255);
  for (let channel = 0; channel < 3; channel++) {
    let low = 255;
    let high = 0;
    for (let at = channel; at < pixels.length; at += 3) {
      const value = pixels[at]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const flat = high <= low;
    const from = flat ? 0 : low;
    const divisor = flat ? 1 : f32((high - low) * step);
    const table = channels[channel]!;
    for (let value = low; value <= high; value++) table[value] = toByte(f32((value - from) / divisor));
  }
  return mapPixels(image, red, green, blue);
}

const histogram = new Int32Array(256);

/** Makes each channel's histogram as even as Pillow's integer rule can; a channel of too few values stays. */
export function equalize(image: Image): Image {
  const { pixels } = image;
  for (let channel = 0; channel < 3; channel++) {
    histogram.fill(0);
    for (let at = channel; at < pixels.length; at += 3) histogram[pixels[at]!]!++;
    let last = 255;
    while (last > 0 && histogram[last] === 0) last--;
    const step = Math.floor((pixels.length / 3 - histogram[last]!) / 255);
    const table = channels[channel]!;
    let sum = step >> 1;
    for (let value = 0; value <= last; value++) {
      const even = (sum / step) | 0;
      table[value] = step === 0 ? value : even < 255 ? even : 255;
      sum += histogram[value]!;
    }
  }
  return mapPixels(image, red, green, blue);
}

/** The gray image, the same value in all three channels. */
export function grayscale(image: Image): Image {
  const { pixels } = image;
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at + 2 < out.length; at += 3) {
    out[at] = out[at + 1] = out[at + 2] = grayAt(pixels, at);
  }
  return withPixels(image, out);
}

/** Gray (0 to 255) of the pixel that starts at index `at`. */
function grayAt(pixels: Uint8Array, at: number): number {
  return f32(f32(grayRed[pixels[at]!]! + grayGreen[pixels[at + 1]!]!) + grayBlue[pixels[at + 2]!]!) | 0;
}

function meanGray({ pixels }: Image): number {
  let sum = 0;
  for (let at = 0; at + 2 < pixels.length; at += 3) sum += grayAt(pixels, at);
  return f32(f32(sum) / (pixels.length / 3));
}

/**
 * The fraction dropped, then cut off to 0 … 255: what torch does when a clamped float becomes uint8. Without
 * branches, which a processor cannot foresee on noisy images: twice as fast there.
 */
function toByte(value: number): number {
  const whole = value | 0;
  const positive = whole & ~(whole >> 31);
  return (positive | ((255 - positive) >> 31)) & 255;
}

/** Sends every value through one table, four bytes at a time: half again as fast as one at a time. */
function mapValues(image: Image, table: Uint8Array): Image {
  const out = new Uint8Array(image.pixels);
  const words = new Int32Array(out.buffer, 0, out.length >> 2);
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    words[at] =
      table[word & 255]! |
      (table[(word >>> 8) & 255]! << 8) |
      (table[(word >>> 16) & 255]! << 16) |
      (table[word >>> 24]! << 24);
  }
  for (let at = words.length * 4; at < out.length; at++) out[at] = table[out[at]!]!;
  return withPixels(image, out);
}

/** (value & mask) ^ flip, four bytes at a time; `mask` and `flip` hold their byte four times. */
function mapBits(image: Image, mask: number, flip: number): Image {
  const out = new Uint8Array(image.pixels);
  const words = new Int32Array(out.buffer, 0, out.length >> 2);
  for (let at = 0; at < words.length; at++) words[at] = (words[at]! & mask) ^ flip;
  for (let at = words.length * 4; at < out.length; at++) out[at] = (out[at]! & mask) ^ flip;
  return withPixels(image, out);
}

/** Sends each channel through a table of its own. */
function mapPixels(image: Image, first: Uint8Array, second: Uint8Array, third: Uint8Array): Image {
  const { pixels } = image;
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at + 2 < out.length; at += 3) {
    out[at] = first[pixels[at]!]!;
    out[at + 1] = second[pixels[at + 1]!]!;
    out[at + 2] = third[pixels[at + 2]!]!;
  }
  return withPixels(image, out);
}

function withPixels({ height, width }: Image, pixels: Uint8Array): Image {
  return { pixels, height, width };
}

/** Up to a million, so that no intermediate value leaves 32 bits. */
function requireFactor(operation: string, factor: number): void {
  if (factor >= 0 && factor <= 1e6) return;
  throw new TrainerError("ERR_OPTION", `${operation}: the factor is ${factor}; it must lie in [0, 1000000].`);
}
