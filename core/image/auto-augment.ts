/**
 * AutoAugment (Cubuk et al. 2019), RandAugment (2020) and TrivialAugment (Müller and Hutter 2021): what is
 * drawn, and how it is applied to an 8-bit image. Tables, magnitudes and operations are torchvision's.
 *
 * Different from torchvision in one place: a sub-policy's step fires when a uniform number in [0, 1) is
 * *below* its probability (there: not above), so that probability 0 never fires.
 */
import type { Image } from "../data/dataset.js";
import { TrainerError } from "../errors.js";
import type { Stream } from "../rng.js";
import { roundHalfEven } from "../round.js";
import * as color from "./color.js";
import type { Sampling, Size } from "./geometry.js";
import * as geometry from "./geometry.js";

export type Operation =
  | "Identity"
  | "ShearX"
  | "ShearY"
  | "TranslateX"
  | "TranslateY"
  | "Rotate"
  | "Brightness"
  | "Color"
  | "Contrast"
  | "Sharpness"
  | "Posterize"
  | "Solarize"
  | "AutoContrast"
  | "Equalize"
  | "Invert";

/** One drawn operation. `applyOperation` documents the magnitude. */
export interface Step {
  readonly op: Operation;
  readonly magnitude: number;
}

/** A step of a sub-policy: operation, probability, level 0 to 9. */
export type PolicyStep = readonly [op: Operation, probability: number, level: number];

/**
 * The 25 sub-policies found on CIFAR-10 (table 7 of the paper), which are used for CIFAR-100 too. The
 * authors' code draws from 95 others; this is the published table, as torchvision has it.
 */
export const cifar10Policy: readonly (readonly [PolicyStep, PolicyStep])[] = [
  [
    ["Invert", 0.1, 7],
    ["Contrast", 0.2, 6],
  ],
  [
    ["Rotate", 0.7, 2],
    ["TranslateX", 0.3, 9],
  ],
  [
    ["Sharpness", 0.8, 1],
    ["Sharpness", 0.9, 3],
  ],
  [
    ["ShearY", 0.5, 8],
    ["TranslateY", 0.7, 9],
  ],
  [
    ["AutoContrast", 0.5, 8],
    ["Equalize", 0.9, 2],
  ],
  [
    ["ShearY", 0.2, 7],
    ["Posterize", 0.3, 7],
  ],
  [
    ["Color", 0.4, 3],
    ["Brightness", 0.6, 7],
  ],
  [
    ["Sharpness", 0.3, 9],
    ["Brightness", 0.7, 9],
  ],
  [
    ["Equalize", 0.6, 5],
    ["Equalize", 0.5, 1],
  ],
  [
    ["Contrast", 0.6, 7],
    ["Sharpness", 0.6, 5],
  ],
  [
    ["Color", 0.7, 7],
    ["TranslateX", 0.5, 8],
  ],
  [
    ["Equalize", 0.3, 7],
    ["AutoContrast", 0.4, 8],
  ],
  [
    ["TranslateY", 0.4, 3],
    ["Sharpness", 0.2, 6],
  ],
  [
    ["Brightness", 0.9, 6],
    ["Color", 0.2, 8],
  ],
  [
    ["Solarize", 0.5, 2],
    ["Invert", 0, 3],
  ],
  [
    ["Equalize", 0.2, 0],
    ["AutoContrast", 0.6, 0],
  ],
  [
    ["Equalize", 0.2, 8],
    ["Equalize", 0.6, 4],
  ],
  [
    ["Color", 0.9, 9],
    ["Equalize", 0.6, 6],
  ],
  [
    ["AutoContrast", 0.8, 4],
    ["Solarize", 0.2, 8],
  ],
  [
    ["Brightness", 0.1, 3],
    ["Color", 0.7, 0],
  ],
  [
    ["Solarize", 0.4, 5],
    ["AutoContrast", 0.9, 3],
  ],
  [
    ["TranslateY", 0.9, 9],
    ["TranslateY", 0.7, 9],
  ],
  [
    ["AutoContrast", 0.9, 2],
    ["Solarize", 0.8, 3],
  ],
  [
    ["Equalize", 0.8, 8],
    ["Invert", 0.1, 3],
  ],
  [
    ["TranslateY", 0.7, 9],
    ["AutoContrast", 0.9, 1],
  ],
];

/** The magnitude of a level (0 to bins - 1), before its sign is drawn. */
type Magnitude = (level: number, bins: number, size: Size) => number;

interface Scale {
  readonly magnitude: Magnitude;
  /** Whether half of the draws go the other way. */
  readonly signed: boolean;
}

/** The operations that a method draws from. */
export type OperationSpace = Readonly<Partial<Record<Operation, Scale>>>;

const none: Scale = { signed: false, magnitude: () => 0 };
const upTo = (end: number): Scale => ({
  signed: true,
  magnitude: (level, bins) => linspace(0, end, bins, level),
});
const solarizeScale: Scale = {
  signed: false,
  magnitude: (level, bins) => Math.fround(255 * linspace(1, 0, bins, level)),
};
const posterizeScale = (lost: number): Scale => ({
  signed: false,
  magnitude: (level, bins) => roundHalfEven(8 - level / ((bins - 1) / lost)),
});

/** AutoAugment's operations; its tables have 10 levels. */
export const autoAugmentSpace: OperationSpace = {
  ShearX: upTo(0.3),
  ShearY: upTo(0.3),
  TranslateX: {
    signed: true,
    magnitude: (level, bins, { width }) => linspace(0, (150 / 331) * width, bins, level),
  },
  TranslateY: {
    signed: true,
    magnitude: (level, bins, { height }) => linspace(0, (150 / 331) * height, bins, level),
  },
  Rotate: upTo(30),
  Brightness: upTo(0.9),
  Color: upTo(0.9),
  Contrast: upTo(0.9),
  Sharpness: upTo(0.9),
  Posterize: posterizeScale(4),
  Solarize: solarizeScale,
  AutoContrast: none,
  Equalize: none,
  Invert: none,
};

const { Invert: _, ...withoutInvert } = autoAugmentSpace;

/** RandAugment's operations: AutoAugment's with Identity, without Invert. Usually 31 levels. */
export const randAugmentSpace: OperationSpace = { Identity: none, ...withoutInvert };

/**
 * TrivialAugmentWide's operations: RandAugment's, with wider ranges. Usually 31 levels; translation up to 32
 * pixels.
 */
export const trivialAugmentSpace: OperationSpace = {
  ...randAugmentSpace,
  ShearX: upTo(0.99),
  ShearY: upTo(0.99),
  TranslateX: upTo(32),
  TranslateY: upTo(32),
  Rotate: upTo(135),
  Brightness: upTo(0.99),
  Color: upTo(0.99),
  Contrast: upTo(0.99),
  Sharpness: upTo(0.99),
  Posterize: posterizeScale(6),
};

const randAugmentOperations = Object.keys(randAugmentSpace) as Operation[];
const trivialAugmentOperations = Object.keys(trivialAugmentSpace) as Operation[];

/** The magnitude of an operation at a level (0 to bins - 1) for images of this size, without its sign. */
export function magnitudeAt(space: OperationSpace, op: Operation, level: number, bins: number, size: Size): number {
  const scale = space[op];
  if (!scale) {
    throw new TrainerError(
      "ERR_UNKNOWN_NAME",
      `Operation "${op}" is not among this method's: ${Object.keys(space).join(", ")}.`,
    );
  }
  if (!(Number.isInteger(level) && level >= 0 && level < bins)) {
    throw new TrainerError("ERR_OPTION", `Level ${level} of ${op} must be an integer from 0 to ${bins - 1}.`);
  }
  return scale.magnitude(level, bins, size);
}

/**
 * One of the 25 sub-policies, and of its two steps those that fire.
 *
 * Always takes five numbers from the stream, so what follows does not depend on what fired.
 */
export function autoAugmentDraw(stream: Stream, size: Size, policy = cifar10Policy): Step[] {
  const [first, second] = policy[stream.int(policy.length)]!;
  const gates = [stream.uniform(), stream.uniform()] as const;
  const negative = [stream.chance(0.5), stream.chance(0.5)] as const;
  const steps: Step[] = [];
  if (gates[0] < first[1]) steps.push(policyStep(first, negative[0], size));
  if (gates[1] < second[1]) steps.push(policyStep(second, negative[1], size));
  return steps;
}

export interface RandAugmentOptions {
  /** Operations an image. Default 2. */
  readonly operations?: number;
  /** Level of every operation. Default 9. */
  readonly level?: number;
  /** Number of levels. Default 31. */
  readonly bins?: number;
}

/** `operations` operations, drawn with replacement, all at one level. */
export function randAugmentDraw(
  stream: Stream,
  size: Size,
  { operations = 2, level = 9, bins = 31 }: RandAugmentOptions = {},
): Step[] {
  return Array.from({ length: operations }, () => {
    const op = randAugmentOperations[stream.int(randAugmentOperations.length)]!;
    return signedStep(randAugmentSpace, op, level, bins, size, stream.chance(0.5));
  });
}

/** One operation at one level, both uniform. */
export function trivialAugmentDraw(stream: Stream, size: Size, { bins = 31 }: { bins?: number } = {}): Step[] {
  const op = trivialAugmentOperations[stream.int(trivialAugmentOperations.length)]!;
  return [signedStep(trivialAugmentSpace, op, stream.int(bins), bins, size, stream.chance(0.5))];
}

/**
 * Applies one operation. The magnitude is: pixels a row or column (shears), pixels (translations), degrees
 * counter-clockwise (Rotate), the factor less 1 (Brightness, Color, Contrast, Sharpness), bits kept
 * (Posterize), the threshold (Solarize); the others have none. `sampling` holds for shears, translations and
 * Rotate.
 */
export function applyOperation(image: Image, op: Operation, magnitude: number, sampling: Sampling = {}): Image {
  switch (op) {
    case "Identity":
      return image;
    case "ShearX":
      return geometry.shearX(image, magnitude, sampling);
    case "ShearY":
      return geometry.shearY(image, magnitude, sampling);
    case "TranslateX":
      return geometry.translateX(image, magnitude, sampling);
    case "TranslateY":
      return geometry.translateY(image, magnitude, sampling);
    case "Rotate":
      return geometry.rotate(image, magnitude, sampling);
    case "Brightness":
      return color.brightness(image, 1 + magnitude);
    case "Color":
      return color.saturation(image, 1 + magnitude);
    case "Contrast":
      return color.contrast(image, 1 + magnitude);
    case "Sharpness":
      return color.sharpness(image, 1 + magnitude);
    case "Posterize":
      return color.posterize(image, Math.trunc(magnitude));
    case "Solarize":
      return color.solarize(image, magnitude);
    case "AutoContrast":
      return color.autocontrast(image);
    case "Equalize":
      return color.equalize(image);
    case "Invert":
      return color.invert(image);
  }
}

/** Applies drawn steps one after the other. */
export function applySteps(image: Image, steps: readonly Step[], sampling: Sampling = {}): Image {
  return steps.reduce((current, { op, magnitude }) => applyOperation(current, op, magnitude, sampling), image);
}

function policyStep([op, , level]: PolicyStep, negative: boolean, size: Size): Step {
  return signedStep(autoAugmentSpace, op, level, 10, size, negative);
}

function signedStep(
  space: OperationSpace,
  op: Operation,
  level: number,
  bins: number,
  size: Size,
  negative: boolean,
): Step {
  const magnitude = magnitudeAt(space, op, level, bins, size);
  return { op, magnitude: negative && space[op]!.signed ? -magnitude : magnitude };
}

/**
 * Entry `index` of torch.linspace(start, end, count), in its float32 steps from the nearer end. Its rounding
 * shows: half of 32 pixels is 15.999999 there, which moves an image by 15.
 */
function linspace(start: number, end: number, count: number, index: number): number {
  const from = Math.fround(start);
  const to = Math.fround(end);
  const step = Math.fround(Math.fround(to - from) / (count - 1));
  return index < Math.trunc(count / 2)
    ? Math.fround(from + step * index)
    : Math.fround(to - step * (count - 1 - index));
}
