/**
 * Parameters of random image operations, drawn from a stream with torchvision's distributions. The
 * operations themselves are pure functions of what is drawn here.
 */
import type { Image } from "../data/dataset.js";
import type { Stream } from "../rng.js";
import { roundHalfEven } from "../round.js";
import { brightness, contrast, hue, saturation } from "./color.js";
import type { AffineParameters, Rectangle, Size } from "./geometry.js";

export type Range = readonly [low: number, high: number];

export interface RandomAffineOptions {
  /** Degrees. */
  readonly degrees: Range;
  /** Largest shift as a share of width and of height, each way. */
  readonly translate?: readonly [x: number, y: number];
  readonly scale?: Range;
  /** Degrees along x, and along y where given. */
  readonly shear?: Range | readonly [lowX: number, highX: number, lowY: number, highY: number];
}

/** Angle, whole-pixel shift, scale and shear, each uniform in its range. */
export function randomAffineDraw(
  stream: Stream,
  { degrees, translate = [0, 0], scale = [1, 1], shear = [0, 0] }: RandomAffineOptions,
  { height, width }: Size,
): Required<Omit<AffineParameters, "center">> {
  const angle = stream.range(degrees[0], degrees[1]);
  const maxX = translate[0] * width;
  const maxY = translate[1] * height;
  const shift = [Math.round(stream.range(-maxX, maxX)), Math.round(stream.range(-maxY, maxY))] as const;
  const zoom = stream.range(scale[0], scale[1]);
  const [lowX, highX, lowY = 0, highY = 0] = shear;
  return {
    angle,
    translate: shift,
    scale: zoom,
    shear: [stream.range(lowX, highX), stream.range(lowY, highY)],
  };
}

/**
 * Each is a number x >= 0, for factors in [max(0, 1 - x), 1 + x]; for hue a shift in [-x, x], x at most 0.5.
 */
export interface ColorJitterOptions {
  readonly brightness?: number;
  readonly contrast?: number;
  readonly saturation?: number;
  readonly hue?: number;
}

export interface ColorStep {
  readonly op: keyof ColorJitterOptions;
  readonly factor: number;
}

const jitterOperations = ["brightness", "contrast", "saturation", "hue"] as const;
const jitterFunctions = { brightness, contrast, saturation, hue };

/** The operations whose option is not 0, in random order, each with a uniform factor. */
export function colorJitterDraw(stream: Stream, options: ColorJitterOptions): ColorStep[] {
  const order = stream.permutation(4);
  const factors = jitterOperations.map((op) => {
    const spread = options[op] ?? 0;
    return op === "hue" ? stream.range(-spread, spread) : stream.range(Math.max(0, 1 - spread), 1 + spread);
  });
  return Array.from(order, (index) => ({ op: jitterOperations[index]!, factor: factors[index]! })).filter(
    ({ op }) => options[op],
  );
}

export function applyColorSteps(image: Image, steps: readonly ColorStep[]): Image {
  return steps.reduce((current, { op, factor }) => jitterFunctions[op](current, factor), image);
}

export interface RandomErasingOptions {
  /** Share of the image's area. Default [0.02, 0.33]. */
  readonly scale?: Range;
  /** Height over width; its logarithm is uniform. Default [0.3, 3.3]. */
  readonly ratio?: Range;
}

/**
 * The rectangle to erase, somewhere inside the image and smaller than it on both sides; undefined when ten
 * tries found none that fits (a very flat image, or a scale near 1).
 */
export function randomErasingDraw(
  stream: Stream,
  { height, width }: Size,
  { scale = [0.02, 0.33], ratio = [0.3, 3.3] }: RandomErasingOptions = {},
): Rectangle | undefined {
  const [low, high] = [Math.log(ratio[0]), Math.log(ratio[1])];
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = height * width * stream.range(scale[0], scale[1]);
    const aspect = Math.exp(stream.range(low, high));
    const tall = Math.round(Math.sqrt(area * aspect));
    const wide = Math.round(Math.sqrt(area / aspect));
    if (tall < height && wide < width) {
      const top = stream.int(height - tall + 1);
      const left = stream.int(width - wide + 1);
      return { top, left, height: tall, width: wide };
    }
  }
  return undefined;
}

/** A crop of the image's own size out of the image padded by `padding` pixels on every side. */
export function randomCropDraw(stream: Stream, { height, width }: Size, padding: number): Rectangle {
  const top = stream.int(2 * padding + 1) - padding;
  const left = stream.int(2 * padding + 1) - padding;
  return { top, left, height, width };
}

export interface RandomResizedCropOptions {
  /** Share of the image's area. Default [0.08, 1]. */
  readonly scale?: Range;
  /** Width over height; its logarithm is uniform. Default [3/4, 4/3]. */
  readonly ratio?: Range;
}

/**
 * A region of an image: ten tries, then the largest one in the middle whose ratio is allowed (torchvision's
 * `RandomResizedCrop.get_params`, Szegedy et al. 2015).
 */
export function randomResizedCropDraw(
  stream: Pick<Stream, "range" | "int">,
  { height, width }: Size,
  { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] }: RandomResizedCropOptions = {},
): Rectangle {
  const [low, high] = [Math.log(ratio[0]), Math.log(ratio[1])];
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = height * width * stream.range(scale[0], scale[1]);
    const aspect = Math.exp(stream.range(low, high));
    const wide = roundHalfEven(Math.sqrt(area * aspect));
    const tall = roundHalfEven(Math.sqrt(area / aspect));
    if (wide > 0 && wide <= width && tall > 0 && tall <= height) {
      const top = stream.int(height - tall + 1);
      const left = stream.int(width - wide + 1);
      return { top, left, height: tall, width: wide };
    }
  }
  const own = width / height;
  const tall = own < ratio[0] ? roundHalfEven(width / ratio[0]) : height;
  const wide = own > ratio[1] ? roundHalfEven(height * ratio[1]) : width;
  return { top: Math.floor((height - tall) / 2), left: Math.floor((width - wide) / 2), height: tall, width: wide };
}
