/** Scaling and blurring of 8-bit images in memory, as torchvision's tensor path does both: within one grey level. */
import type { Image, Rectangle, Size } from "../data/dataset.js";
import { resizePixels, type SideWeights } from "./resize-kernel.js";

/**
 * A region scaled to a size: bilinear, the triangle as wide as what a new pixel covers where it shrinks (antialiased). The
 * region itself where it has that size.
 *
 * @param region inside the image, of whole pixels
 */
export function resizeRegion(image: Image, region: Rectangle, { height, width }: Size): Image {
  if ([region, { height, width }].every((each) => each.height === image.height && each.width === image.width))
    return image;
  const side = (length: number, to: number, from: number): SideWeights =>
    sideWeights({ length, scaled: to, first: 0, count: to, from });
  const down = side(region.height, height, region.top);
  const across = side(region.width, width, region.left);
  return { pixels: resizePixels(image.pixels, image.width, { down, across }), height, width };
}

/**
 * The shorter side scaled to `shorter` pixels, then a square of `size` cut from the middle, at the places where libvips cuts it and
 * without scaling what is cut away. Bilinear and antialiased, too.
 */
export function resizeCentre(
  { pixels, height, width }: Image,
  { shorter, size }: { shorter: number; size: number },
): Image {
  const least = Math.min(height, width);
  const side = (length: number): SideWeights => {
    const scaled = Math.round((shorter * length) / least);
    const first = Math.floor((scaled - shorter + 1) / 2) + Math.round((shorter - size) / 2);
    return sideWeights({ length, scaled, first, count: size, from: 0 });
  };
  return {
    pixels: resizePixels(pixels, width, { down: side(height), across: side(width) }),
    height: size,
    width: size,
  };
}

const triangle = (x: number): number => Math.max(0, 1 - Math.abs(x));

/** Of `count` values from `first` on, of a side of `length` values that is scaled to `scaled` and lies at `from`. */
function sideWeights({
  length,
  scaled,
  first,
  count,
  from,
}: {
  length: number;
  scaled: number;
  first: number;
  count: number;
  from: number;
}): SideWeights {
  const scale = length / scaled;
  const wide = Math.max(1, scale);
  const centreOf = (place: number): number => (first + place + 0.5) * scale;
  const startOf = (place: number): number => Math.max(0, Math.floor(centreOf(place) - wide + 0.5));
  const endOf = (place: number): number => Math.min(length, Math.floor(centreOf(place) + wide + 0.5));
  let taps = 1;
  for (let place = 0; place < count; place++) taps = Math.max(taps, endOf(place) - startOf(place));
  const starts = new Int32Array(count);
  const weights = new Float32Array(count * taps);
  for (let place = 0; place < count; place++) {
    const centre = centreOf(place);
    const [begin, end] = [startOf(place), endOf(place)];
    let total = 0;
    for (let tap = begin; tap < end; tap++) total += triangle((tap + 0.5 - centre) / wide);
    // All have as many weights: those that lack some get zeros, at their beginning where the side ends.
    const start = Math.min(begin, length - taps);
    for (let tap = begin; tap < end; tap++) {
      weights[place * taps + tap - start] = triangle((tap + 0.5 - centre) / wide) / total;
    }
    starts[place] = start + from;
  }
  return { taps, starts, weights };
}

/**
 * Gaussian blur, the border mirrored without its edge (torchvision's "reflect").
 *
 * @param sigma standard deviation in pixels, more than 0
 * @param size of the kernel in pixels, odd and at most twice the shorter side less one
 */
export function gaussianBlur({ pixels, height, width }: Image, sigma: number, size: number): Image {
  const half = (size - 1) / 2;
  const raw = Float64Array.from({ length: size }, (_, at) => Math.exp(-0.5 * ((at - half) / sigma) ** 2));
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  const weights = raw.map((weight) => weight / total);
  const mirrored = (place: number, side: number): number => {
    const inside = Math.abs(place);
    return inside < side ? inside : 2 * side - 2 - inside;
  };
  const rows = new Float64Array(pixels.length);
  for (let x = 0; x < width; x++) {
    const places = Array.from(weights, (_, at) => mirrored(x + at - half, width) * 3);
    for (let y = 0; y < height; y++) {
      const row = y * width * 3;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let at = 0; at < size; at++) sum += weights[at]! * pixels[row + places[at]! + channel]!;
        rows[row + x * 3 + channel] = sum;
      }
    }
  }
  const step = width * 3;
  const out = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) {
    const places = Array.from(weights, (_, at) => mirrored(y + at - half, height) * step);
    for (let x = 0; x < step; x++) {
      let sum = 0.5;
      for (let at = 0; at < size; at++) sum += weights[at]! * rows[places[at]! + x]!;
      out[y * step + x] = sum;
    }
  }
  return { pixels: out, height, width };
}
