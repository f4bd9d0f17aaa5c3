/**
 * Geometric operations on 8-bit RGB images [height, width, 3], as torchvision's tensor path has them
 * (transforms.v2.functional on uint8): byte for byte with nearest neighbours, within one grey level bilinear.
 * Each returns a new image and leaves its argument alone.
 */
import type { Image, Rectangle, Size } from "../data/dataset.js";
import { TrainerError } from "../errors.js";
import { roundHalfEven } from "../round.js";

export type { Rectangle, Size } from "../data/dataset.js";

/** Red, green and blue, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

export interface Sampling {
  /** Default "nearest". */
  readonly interpolation?: "nearest" | "bilinear";
  /**
   * What comes in from outside of the image. Not given, outside counts as black. With "bilinear" that is
   * not the same as black given: torchvision blends a half-covered pixel with the given colour after it was
   * already blended with black, so borders come out darker. We do the same.
   */
  readonly fill?: Color;
}

/** Turns clockwise, moves right and down, zooms, slants; all of it about the centre. */
export interface AffineParameters {
  /** Degrees, clockwise. Default 0. */
  readonly angle?: number;
  /** Pixels to the right and down. Default [0, 0]. */
  readonly translate?: readonly [x: number, y: number];
  /** More than 0; 2 shows everything twice as large. Default 1. */
  readonly scale?: number;
  /** Degrees, along x and along y. Default [0, 0]. */
  readonly shear?: readonly [x: number, y: number];
  /** In pixels from the upper left corner; default the middle of the image. */
  readonly center?: readonly [x: number, y: number];
}

const black: Color = [0, 0, 0];

/**
 * Cuts a rectangle out; where it leaves the image, `fill` comes in. Padding by p and cropping at (y, x) is
 * a crop at (y - p, x - p).
 */
export function crop(image: Image, { top, left, height, width }: Rectangle, fill: Color = black): Image {
  if (![top, left, height, width].every(Number.isInteger) || height < 1 || width < 1) {
    throw new TrainerError(
      "ERR_OPTION",
      `crop: got top ${top}, left ${left}, height ${height}, width ${width}; ` +
        "all must be integers, height and width at least 1.",
    );
  }
  const { pixels } = image;
  const out = new Uint8Array(height * width * 3);
  const firstRow = Math.max(0, -top);
  const lastRow = Math.min(height, image.height - top);
  const firstColumn = Math.max(0, -left);
  const lastColumn = Math.min(width, image.width - left);
  const inside = firstRow === 0 && lastRow === height && firstColumn === 0 && lastColumn === width;
  if (!inside) paint(out, fill);
  if (firstColumn >= lastColumn) return { pixels: out, height, width };
  for (let row = firstRow; row < lastRow; row++) {
    const from = ((row + top) * image.width + firstColumn + left) * 3;
    const end = from + (lastColumn - firstColumn) * 3;
    out.set(pixels.subarray(from, end), (row * width + firstColumn) * 3);
  }
  return { pixels: out, height, width };
}

/**
 * A crop that may reach beyond the image; what lies there mirrors the image at its border, which is not repeated: numpy's
 * "reflect".
 *
 * @throws TrainerError ERR_OPTION for a crop that reaches as far out as the image is large
 */
export function cropReflected(image: Image, { top, left, height, width }: Rectangle): Image {
  const inside = (place: number, size: number): number =>
    place < 0 ? -place : place >= size ? 2 * size - 2 - place : place;
  const reach = Math.max(-top, -left, top + height - image.height, left + width - image.width);
  if (reach >= Math.min(image.height, image.width)) {
    throw new TrainerError(
      "ERR_OPTION",
      `cropReflected: expected a crop at most ${Math.min(image.height, image.width) - 1} pixels beyond the image, ` +
        `got ${reach}.`,
    );
  }
  const pixels = new Uint8Array(height * width * 3);
  for (let row = 0; row < height; row++) {
    const from = inside(row + top, image.height) * image.width;
    for (let column = 0; column < width; column++) {
      const source = (from + inside(column + left, image.width)) * 3;
      const target = (row * width + column) * 3;
      pixels[target] = image.pixels[source]!;
      pixels[target + 1] = image.pixels[source + 1]!;
      pixels[target + 2] = image.pixels[source + 2]!;
    }
  }
  return { pixels, height, width };
}

/** Mirrors left and right. */
export function flipHorizontal({ pixels, height, width }: Image): Image {
  const out = new Uint8Array(pixels.length);
  const stride = width * 3;
  for (let start = 0; start < out.length; start += stride) {
    let from = start + stride - 3;
    for (let to = start; to < start + stride; to += 3, from -= 3) {
      out[to] = pixels[from]!;
      out[to + 1] = pixels[from + 1]!;
      out[to + 2] = pixels[from + 2]!;
    }
  }
  return { pixels: out, height, width };
}

/** Mirrors top and bottom. */
export function flipVertical({ pixels, height, width }: Image): Image {
  const out = new Uint8Array(pixels.length);
  const stride = width * 3;
  for (let y = 0; y < height; y++) out.set(pixels.subarray(y * stride, (y + 1) * stride), (height - 1 - y) * stride);
  return { pixels: out, height, width };
}

/**
 * Overwrites a rectangle that lies inside the image.
 *
 * @param value one colour, or bytes [rectangle.height, rectangle.width, 3] (noise, say)
 */
export function erase(image: Image, rectangle: Rectangle, value: Color | Uint8Array): Image {
  const { top, left, height, width } = rectangle;
  const fits = top >= 0 && left >= 0 && top + height <= image.height && left + width <= image.width;
  if (![top, left, height, width].every(Number.isInteger) || height < 0 || width < 0 || !fits) {
    throw new TrainerError(
      "ERR_OPTION",
      `erase: the rectangle (top ${top}, left ${left}, height ${height}, width ${width}) does not lie ` +
        `inside an image of height ${image.height} and width ${image.width}.`,
    );
  }
  const noise = value instanceof Uint8Array;
  if (noise && value.length !== height * width * 3) {
    throw new TrainerError(
      "ERR_OPTION",
      `erase: got ${value.length} bytes for a rectangle of ${height} x ${width} x 3 = ${height * width * 3}.`,
    );
  }
  const out = new Uint8Array(image.pixels); // slice() of a Buffer would not copy
  let from = 0;
  for (let row = top; row < top + height; row++) {
    const start = (row * image.width + left) * 3;
    for (let to = start; to < start + width * 3; to += 3, from += noise ? 3 : 0) {
      out[to] = value[from]!;
      out[to + 1] = value[from + 1]!;
      out[to + 2] = value[from + 2]!;
    }
  }
  return { pixels: out, height: image.height, width: image.width };
}

/** The image turned, moved, zoomed and slanted, in its old size. */
export function affine(image: Image, parameters: AffineParameters, sampling: Sampling = {}): Image {
  const matrix = inverseMatrix(image, parameters);
  if (!matrix.every(Number.isFinite) || (parameters.scale ?? 1) < 0) {
    throw new TrainerError(
      "ERR_OPTION",
      `affine: ${JSON.stringify(parameters)} has no inverse; give finite numbers, a scale above 0, ` +
        "and a shear other than 90 degrees.",
    );
  }
  return sampling.interpolation === "bilinear"
    ? sampleBilinear(image, matrix, sampling.fill)
    : sampleNearest(image, matrix, sampling.fill ?? black);
}

/** Turns counter-clockwise about the middle (the other way round than `affine`, as in torchvision). */
export function rotate(image: Image, degrees: number, sampling?: Sampling): Image {
  return affine(image, { angle: -degrees }, sampling);
}

/** AutoAugment's ShearX: about the upper left corner, by `magnitude` pixels a row. */
export function shearX(image: Image, magnitude: number, sampling?: Sampling): Image {
  return affine(image, { shear: [slant(magnitude), 0], center: [0, 0] }, sampling);
}

/** AutoAugment's ShearY: about the upper left corner, by `magnitude` pixels a column. */
export function shearY(image: Image, magnitude: number, sampling?: Sampling): Image {
  return affine(image, { shear: [0, slant(magnitude)], center: [0, 0] }, sampling);
}

/** Moves to the right by whole pixels (the fraction is dropped, as AutoAugment does). */
export function translateX(image: Image, shift: number, { fill }: Sampling = {}): Image {
  const { height, width } = image;
  return crop(image, { top: 0, left: -Math.trunc(shift), height, width }, fill);
}

/** Moves down by whole pixels (the fraction is dropped, as AutoAugment does). */
export function translateY(image: Image, shift: number, { fill }: Sampling = {}): Image {
  const { height, width } = image;
  return crop(image, { top: -Math.trunc(shift), left: 0, height, width }, fill);
}

/**
 * The affine map from output to input positions, both counted from the middle: x = a * x' + b * y' + c, and
 * so on.
 */
type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * The inverse of T * C * R(angle) * S(scale) * ShearY * ShearX * C^-1, C moving the centre to the origin:
 * torchvision's `_get_inverse_affine_matrix`.
 */
function inverseMatrix(size: Size, parameters: AffineParameters): Matrix {
  const { angle = 0, translate = [0, 0], scale = 1, shear = [0, 0], center } = parameters;
  const centerX = center ? center[0] - size.width / 2 : 0;
  const centerY = center ? center[1] - size.height / 2 : 0;
  const rotation = radians(angle);
  const tangentX = Math.tan(radians(shear[0]));
  const slantY = radians(shear[1]);
  // The forward matrix without its scale, of determinant 1.
  const a = Math.cos(rotation - slantY) / Math.cos(slantY);
  const b = -(a * tangentX + Math.sin(rotation));
  const c = Math.sin(rotation - slantY) / Math.cos(slantY);
  const d = Math.cos(rotation) - c * tangentX;

  const [xx, xy, yx, yy] = [d / scale, -b / scale, -c / scale, a / scale];
  const fromX = centerX + translate[0];
  const fromY = centerY + translate[1];
  return [xx, xy, centerX - xx * fromX - xy * fromY, yx, yy, centerY - yx * fromX - yy * fromY];
}

const f32 = Math.fround;

/**
 * torch's way to a pixel index, in its float32 steps: from the middle onto a grid from -1 to 1 (`half` pixels
 * each way), and back. Only its rounding matters: it decides exact ties between two neighbours, and these are
 * common (a shear of 0.2 meets one in every fifth row).
 */
function gridIndex(a: number, b: number, c: number, x: number, y: number, half: number): number {
  const fromX = f32(f32(f32(a) / half) * x);
  const fromY = f32(f32(f32(b) / half) * y);
  const grid = f32(f32(fromX + fromY) + f32(f32(c) / half));
  if (!(Math.abs(grid) < 2)) return -1; // far outside, where an index may not fit 32 bits
  return roundHalfEven(f32(f32(f32(grid + 1) * half) - 0.5));
}

/**
 * Positions are computed in float64, which is twice as fast as the steps of `gridIndex`; within reach of
 * float32's error of a tie, those steps are taken.
 */
function sampleNearest({ pixels, height, width }: Image, matrix: Matrix, fill: Color): Image {
  const [a, b, c, d, e, f] = matrix;
  const [red, green, blue] = fill;
  const middleX = (width - 1) / 2;
  const middleY = (height - 1) / 2;
  const reach = 0.5 - 1e-6 * Math.max(width, height);
  const out = new Uint8Array(pixels.length);
  let to = 0;
  for (let row = 0; row < height; row++) {
    const startX = b * (row - middleY) + c - a * middleX + width / 2;
    const startY = e * (row - middleY) + f - d * middleX + height / 2;
    for (let column = 0; column < width; column++, to += 3) {
      const exactX = a * column + startX;
      const exactY = d * column + startY;
      let x = Math.floor(exactX) | 0;
      let y = Math.floor(exactY) | 0;
      const fromCentreX = exactX - x - 0.5;
      const fromCentreY = exactY - y - 0.5;
      if (fromCentreX > reach || fromCentreX < -reach || fromCentreY > reach || fromCentreY < -reach) {
        x = gridIndex(a, b, c, column - middleX, row - middleY, width / 2) | 0;
        y = gridIndex(d, e, f, column - middleX, row - middleY, height / 2) | 0;
      }
      if (x >= 0 && x < width && y >= 0 && y < height) {
        const from = (y * width + x) * 3;
        out[to] = pixels[from]!;
        out[to + 1] = pixels[from + 1]!;
        out[to + 2] = pixels[from + 2]!;
      } else {
        out[to] = red;
        out[to + 1] = green;
        out[to + 2] = blue;
      }
    }
  }
  return { pixels: out, height, width };
}

/**
 * In float64, so a result halfway between two grey levels may be rounded the other way than in torch's
 * float32.
 */
function sampleBilinear(image: Image, matrix: Matrix, fill?: Color): Image {
  const { pixels, height, width } = image;
  const [a, b, c, d, e, f] = matrix;
  const middleX = (width - 1) / 2;
  const middleY = (height - 1) / 2;
  const below = width * 3;
  const bytes = new Uint8Array(pixels.length);
  if (fill) paint(bytes, fill);
  const out = new Uint8ClampedArray(bytes.buffer); // its stores round to nearest, ties to even
  let to = 0;
  for (let row = 0; row < height; row++) {
    const startX = b * (row - middleY) + c - a * middleX + middleX;
    const startY = e * (row - middleY) + f - d * middleX + middleY;
    for (let column = 0; column < width; column++, to += 3) {
      const x = a * column + startX;
      const y = d * column + startY;
      if (!(x > -1 && x < width && y > -1 && y < height)) continue;
      const left = Math.floor(x) | 0;
      const top = Math.floor(y) | 0;
      const right = x - left;
      const bottom = y - top;
      if (left < 0 || top < 0 || left >= width - 1 || top >= height - 1) {
        for (let channel = 0; channel < 3; channel++) {
          out[to + channel] = borderValue(image, left, top, right, bottom, channel, fill?.[channel]);
        }
        continue;
      }
      const topLeft = (1 - right) * (1 - bottom);
      const topRight = right * (1 - bottom);
      const bottomLeft = (1 - right) * bottom;
      const bottomRight = right * bottom;
      const at = (top * width + left) * 3;
      out[to] =
        topLeft * pixels[at]! +
        topRight * pixels[at + 3]! +
        bottomLeft * pixels[at + below]! +
        bottomRight * pixels[at + below + 3]!;
      out[to + 1] =
        topLeft * pixels[at + 1]! +
        topRight * pixels[at + 4]! +
        bottomLeft * pixels[at + below + 1]! +
        bottomRight * pixels[at + below + 4]!;
      out[to + 2] =
        topLeft * pixels[at + 2]! +
        topRight * pixels[at + 5]! +
        bottomLeft * pixels[at + below + 2]! +
        bottomRight * pixels[at + below + 5]!;
    }
  }
  return { pixels: bytes, height, width };
}

/**
 * One channel of a position whose four neighbours do not all lie inside; `right` and `bottom` are their
 * weights.
 */
function borderValue(
  { pixels, height, width }: Image,
  left: number,
  top: number,
  right: number,
  bottom: number,
  channel: number,
  fill: number | undefined,
): number {
  let value = 0;
  let coverage = 0;
  for (let y = top; y <= top + 1; y++) {
    for (let x = left; x <= left + 1; x++) {
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const weight = (x === left ? 1 - right : right) * (y === top ? 1 - bottom : bottom);
      coverage += weight;
      value += weight * pixels[(y * width + x) * 3 + channel]!;
    }
  }
  return fill === undefined ? value : coverage * (value - fill) + fill;
}

function paint(pixels: Uint8Array, [red, green, blue]: Color): void {
  if (red === 0 && green === 0 && blue === 0) return; // fresh arrays are zero already
  for (let at = 0; at < pixels.length; at += 3) {
    pixels[at] = red;
    pixels[at + 1] = green;
    pixels[at + 2] = blue;
  }
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

/** The angle, in degrees, whose tangent is `magnitude`. */
function slant(magnitude: number): number {
  return (Math.atan(magnitude) * 180) / Math.PI;
}
