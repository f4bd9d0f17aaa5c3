/**
 * Geometric operations on 8-bit RGB pictures [height, width, 3], as torchvision's tensor path has them
 * (transforms.v2.functional on uint8). Each returns a new picture and leaves its argument alone.
 */
import type { Picture } from "../data/dataset.js";
import { TrainerError } from "../errors.js";

/** Red, green and blue, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** In pixels. */
export type Size = Pick<Picture, "height" | "width">;

/** In pixels; the rectangle starts at (top, left), which a crop may place outside of the picture. */
export interface Rectangle {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export interface Sampling {
  /** Default "nearest". */
  readonly interpolation?: "nearest" | "bilinear";
  /**
   * What comes in from outside of the picture. Not given, outside counts as black. With "bilinear" that is not the same
   * as black given: torchvision blends a half-covered pixel with the given colour after it was already blended with
   * black, so borders come out darker. We do the same.
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
  /** In pixels from the upper left corner; default the middle of the picture. */
  readonly center?: readonly [x: number, y: number];
}

const black: Color = [0, 0, 0];

/**
 * Cuts a rectangle out; where it leaves the picture, `fill` comes in. Padding by p and cropping at (y, x) is a crop at
 * (y - p, x - p).
 */
export function crop(picture: Picture, { top, left, height, width }: Rectangle, fill: Color = black): Picture {
  if (![top, left, height, width].every(Number.isInteger) || height < 1 || width < 1) {
    throw new TrainerError(
      "ERR_OPTION",
      `crop: got top ${top}, left ${left}, height ${height}, width ${width}; ` +
        "all must be integers, height and width at least 1.",
    );
  }
  const { pixels } = picture;
  const out = new Uint8Array(height * width * 3);
  const firstRow = Math.max(0, -top);
  const lastRow = Math.min(height, picture.height - top);
  const firstColumn = Math.max(0, -left);
  const lastColumn = Math.min(width, picture.width - left);
  const inside = firstRow === 0 && lastRow === height && firstColumn === 0 && lastColumn === width;
  if (!inside) paint(out, fill);
  for (let row = firstRow; row < lastRow; row++) {
    let to = (row * width + firstColumn) * 3;
    const end = (row * width + lastColumn) * 3;
    let from = ((row + top) * picture.width + firstColumn + left) * 3;
    while (to < end) out[to++] = pixels[from++]!;
  }
  return { pixels: out, height, width };
}

/** Mirrors left and right. */
export function flipHorizontal({ pixels, height, width }: Picture): Picture {
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

/**
 * Overwrites a rectangle that lies inside the picture.
 *
 * @param value one colour, or bytes [rectangle.height, rectangle.width, 3] (noise, say)
 */
export function erase(picture: Picture, rectangle: Rectangle, value: Color | Uint8Array): Picture {
  const { top, left, height, width } = rectangle;
  const fits = top >= 0 && left >= 0 && top + height <= picture.height && left + width <= picture.width;
  if (![top, left, height, width].every(Number.isInteger) || height < 0 || width < 0 || !fits) {
    throw new TrainerError(
      "ERR_OPTION",
      `erase: the rectangle (top ${top}, left ${left}, height ${height}, width ${width}) does not lie inside ` +
        `a picture of height ${picture.height} and width ${picture.width}.`,
    );
  }
  const noise = value instanceof Uint8Array;
  if (noise && value.length !== height * width * 3) {
    throw new TrainerError(
      "ERR_OPTION",
      `erase: got ${value.length} bytes for a rectangle of ${height} x ${width} x 3 = ${height * width * 3}.`,
    );
  }
  const out = new Uint8Array(picture.pixels); // slice() of a Buffer would not copy
  let from = 0;
  for (let row = top; row < top + height; row++) {
    const start = (row * picture.width + left) * 3;
    for (let to = start; to < start + width * 3; to += 3, from += noise ? 3 : 0) {
      out[to] = value[from]!;
      out[to + 1] = value[from + 1]!;
      out[to + 2] = value[from + 2]!;
    }
  }
  return { pixels: out, height: picture.height, width: picture.width };
}

/** The picture turned, moved, zoomed and slanted, in its old size. */
export function affine(picture: Picture, parameters: AffineParameters, sampling: Sampling = {}): Picture {
  const matrix = inverseMatrix(picture, parameters);
  if (!matrix.every(Number.isFinite) || (parameters.scale ?? 1) < 0) {
    throw new TrainerError(
      "ERR_OPTION",
      `affine: ${JSON.stringify(parameters)} has no inverse; give finite numbers, a scale above 0, ` +
        "and a shear other than 90 degrees.",
    );
  }
  return sampling.interpolation === "bilinear"
    ? sampleBilinear(picture, matrix, sampling.fill)
    : sampleNearest(picture, matrix, sampling.fill ?? black);
}

/** Turns counter-clockwise about the middle (the other way round than `affine`, as in torchvision). */
export function rotate(picture: Picture, degrees: number, sampling?: Sampling): Picture {
  return affine(picture, { angle: -degrees }, sampling);
}

/** AutoAugment's ShearX: about the upper left corner, by `magnitude` pixels a row. */
export function shearX(picture: Picture, magnitude: number, sampling?: Sampling): Picture {
  return affine(picture, { shear: [slant(magnitude), 0], center: [0, 0] }, sampling);
}

/** AutoAugment's ShearY: about the upper left corner, by `magnitude` pixels a column. */
export function shearY(picture: Picture, magnitude: number, sampling?: Sampling): Picture {
  return affine(picture, { shear: [0, slant(magnitude)], center: [0, 0] }, sampling);
}

/** Moves to the right by whole pixels (the fraction is dropped, as AutoAugment does). */
export function translateX(picture: Picture, shift: number, { fill }: Sampling = {}): Picture {
  const { height, width } = picture;
  return crop(picture, { top: 0, left: -Math.trunc(shift), height, width }, fill);
}

/** Moves down by whole pixels (the fraction is dropped, as AutoAugment does). */
export function translateY(picture: Picture, shift: number, { fill }: Sampling = {}): Picture {
  const { height, width } = picture;
  return crop(picture, { top: -Math.trunc(shift), left: 0, height, width }, fill);
}

/** The affine map from output to input positions, both counted from the middle: x = a * x' + b * y' + c, and so on. */
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
 * One input coordinate, in pixels, from its three terms on torch's sampling grid (which runs from -1 to 1 over `2 *
 * half` pixels), in torch's float32 steps. They decide the exact ties, which are common: a shear of 0.2 meets one in
 * every fifth row.
 */
function gridToPixel(alongColumns: number, alongRows: number, offset: number, half: number): number {
  return f32(f32(f32(f32(f32(alongColumns + alongRows) + offset) + 1) * half) - 0.5);
}

/** The terms of `gridToPixel` for an output axis of `size` pixels: the factor times the distance from the middle. */
function gridTerms(factor: number, half: number, size: number): Float32Array {
  const scaled = f32(f32(factor) / half);
  return Float32Array.from({ length: size }, (_, index) => scaled * (index - (size - 1) / 2));
}

// Adding and taking away 1.5 * 2^52 rounds to the nearest integer, ties to even: the rule of torch's nearest sampling.
const rounder = 1.5 * 2 ** 52;

function sampleNearest({ pixels, height, width }: Picture, matrix: Matrix, fill: Color): Picture {
  const [a, b, c, d, e, f] = matrix;
  const [red, green, blue] = fill;
  const halfX = width / 2;
  const halfY = height / 2;
  const [xByColumn, xByRow, xOffset] = [gridTerms(a, halfX, width), gridTerms(b, halfX, height), f32(f32(c) / halfX)];
  const [yByColumn, yByRow, yOffset] = [gridTerms(d, halfY, width), gridTerms(e, halfY, height), f32(f32(f) / halfY)];
  const out = new Uint8Array(pixels.length);
  let to = 0;
  for (let row = 0; row < height; row++) {
    const rowX = xByRow[row]!;
    const rowY = yByRow[row]!;
    for (let column = 0; column < width; column++, to += 3) {
      const x = gridToPixel(xByColumn[column]!, rowX, xOffset, halfX) + rounder - rounder;
      const y = gridToPixel(yByColumn[column]!, rowY, yOffset, halfY) + rounder - rounder;
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

function sampleBilinear({ pixels, height, width }: Picture, matrix: Matrix, fill?: Color): Picture {
  const [a, b, c, d, e, f] = matrix;
  const halfX = width / 2;
  const halfY = height / 2;
  const [xByColumn, xByRow, xOffset] = [gridTerms(a, halfX, width), gridTerms(b, halfX, height), f32(f32(c) / halfX)];
  const [yByColumn, yByRow, yOffset] = [gridTerms(d, halfY, width), gridTerms(e, halfY, height), f32(f32(f) / halfY)];
  const bytes = new Uint8Array(pixels.length);
  // Stores round to nearest, ties to even.
  const out = new Uint8ClampedArray(bytes.buffer);
  if (fill) paint(bytes, fill);
  const stride = width * 3;
  let to = 0;
  for (let row = 0; row < height; row++) {
    const rowX = xByRow[row]!;
    const rowY = yByRow[row]!;
    for (let column = 0; column < width; column++, to += 3) {
      const x = gridToPixel(xByColumn[column]!, rowX, xOffset, halfX);
      const y = gridToPixel(yByColumn[column]!, rowY, yOffset, halfY);
      if (!(x > -1 && x < width && y > -1 && y < height)) continue;
      const left = Math.floor(x);
      const top = Math.floor(y);
      const right = x - left;
      const bottom = y - top;
      let topLeft = (1 - right) * (1 - bottom);
      let topRight = right * (1 - bottom);
      let bottomLeft = (1 - right) * bottom;
      let bottomRight = right * bottom;
      let at = top * stride + left * 3;
      // The four neighbours; one that lies outside gets weight 0 and any index that is safe to read.
      let toRight = 3;
      let down = stride;
      let coverage = 1;
      if (left < 0 || top < 0 || left >= width - 1 || top >= height - 1) {
        if (left < 0) topLeft = bottomLeft = 0;
        if (left >= width - 1) topRight = bottomRight = 0;
        if (top < 0) topLeft = topRight = 0;
        if (top >= height - 1) bottomLeft = bottomRight = 0;
        if (left < 0 || left >= width - 1) toRight = 0;
        if (top < 0 || top >= height - 1) down = 0;
        at = Math.max(top, 0) * stride + Math.max(left, 0) * 3;
        coverage = topLeft + topRight + bottomLeft + bottomRight;
      }
      for (let channel = 0; channel < 3; channel++, at++) {
        const value =
          topLeft * pixels[at]! +
          topRight * pixels[at + toRight]! +
          bottomLeft * pixels[at + down]! +
          bottomRight * pixels[at + down + toRight]!;
        out[to + channel] = fill ? coverage * (value - fill[channel]!) + fill[channel]! : value;
      }
    }
  }
  return { pixels: bytes, height, width };
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
