/** What every format receives. */
import type { Quantized } from "../quantize.js";

export interface Description {
  /** Class names, in the order of the outputs. */
  readonly classes: readonly string[];
  /** Height and width of an image in pixels. */
  readonly size: number;
  readonly output: "probabilities" | "logits";
  /** Of the image's values, 0 to 255 in both. */
  readonly input: "float32" | "uint8";
  /** One line for people: which run the model is of. */
  readonly text: string;
  /** This package's version. */
  readonly version: string;
}

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
