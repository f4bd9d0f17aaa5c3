/** What every format receives. */
import type { Interpolation } from "../../core/data/dataset.js";
import type { Quantized } from "../quantize.js";

export interface Description {
  /** Class names, in the order of the outputs. */
  readonly classes: readonly string[];
  /** Height and width of an image in pixels. */
  readonly size: number;
  /** How an image gets this size: its shorter side becomes `scale` pixels, then a square of `crop` is cut out of its centre. */
  readonly resizing: { readonly scale: number; readonly crop: number; readonly interpolation: Interpolation };
  /** Of the channels, from 0 to 1; the model subtracts the mean and divides by the deviation itself. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly output: "probabilities" | "logits";
  /** Of the image's values, 0 to 255 in both. */
  readonly input: "float32" | "uint8";
  /** One line for people: which run the model is of. */
  readonly text: string;
  /** This package's version. */
  readonly version: string;
}

/** What an image needs before the model takes it, in every format's metadata; names are those of `classifier.json`. */
export const inputMetadata = ({ size, resizing, mean, deviation }: Description) => ({
  size,
  ...resizing,
  layout: "NHWC",
  color: "RGB",
  range: [0, 255],
  normalizedInModel: { mean, std: deviation },
});

/** The metadata as one object, where a format has no fields of its own. */
export const metadataOf = (description: Description) => ({
  description: description.text,
  classes: description.classes,
  output: description.output,
  input: inputMetadata(description),
});

/** How numbers are stored: "int8-dynamic" has int8 weights and float32 activations. */
export type Precision =
  | { readonly kind: "float32" | "float16" | "int8-dynamic" }
  | {
      readonly kind: "int8";
      readonly values: ReadonlyMap<string, Quantized>;
      /** Values that are computed in float32. */
      readonly kept?: ReadonlySet<string>;
    };

/** The bytes of an array's numbers, as they lie in memory (little-endian on every platform of Node). */
export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Numbers in another order. */
export function ordered<T extends Float32Array | Int8Array>(from: T, into: T, order: (at: number) => number): T {
  for (let at = 0; at < into.length; at++) into[at] = from[order(at)]!;
  return into;
}
