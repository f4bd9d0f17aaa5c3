/** Scaling and blurring of 8-bit images in memory, as torchvision's tensor path does both: within one grey level. */
import type { Image, Rectangle, Size } from "../data/dataset.js";

/** Which values a scaled one is a mean of: those from `start` on, with these weights, which sum to 1. */
interface Taps {
  readonly start: number;
  readonly weights: Float64Array;
}

/**
 * A region scaled to a size: bilinear, the triangle as wide as what a new pixel covers where it shrinks (antialiased). The
 * region itself where it has that size.
 *
 * @param region inside the image, of whole pixels
 */
export function resizeRegion(image: Image, region: Rectangle, { height, width }: Size): Image {
  const { pixels } = image;
  const row = image.width * 3;
  if (
    region.height === image.height &&
    region.width === image.width &&
    height === image.height &&
    width === image.width
  )
    return image;
  const across = triangleTaps(region.width, width);
  const down = triangleTaps(region.height, height);
  const narrow = new Float64Array(region.height * width * 3);
  for (let y = 0; y < region.height; y++) {
    for (let x = 0; x < width; x++) {
      const { start, weights } = across[x]!;
      for (let channel = 0; channel < 3; channel++) {
        let at = (region.top + y) * row + (region.left + start) * 3 + channel;
        let sum = 0;
        for (const weight of weights) {
          sum += weight * pixels[at]!;
          at += 3;
        }
        narrow[(y * width + x) * 3 + channel] = sum;
      }
    }
  }
  const out = new Uint8Array(height * width * 3);
  const step = width * 3;
  for (let y = 0; y < height; y++) {
    const { start, weights } = down[y]!;
    for (let x = 0; x < step; x++) {
      let at = start * step + x;
      let sum = 0.5;
      for (const weight of weights) {
        sum += weight * narrow[at]!;
        at += step;
      }
      out[y * step + x] = sum;
    }
  }
  return { pixels: out, height, width };
}

function triangleTaps(from: number, to: number): Taps[] {
  const scale = from / to;
  const support = Math.max(1, scale);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(from, Math.floor(centre + support + 0.5));
    const raw = Float64Array.from({ length: end - start }, (_, at) =>
      Math.max(0, 1 - Math.abs((start + at + 0.5 - centre) / support)),
    );
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return { start, weights: raw.map((weight) => weight / total) };
  });
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
