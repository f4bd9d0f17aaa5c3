/**
 * What a network is made of. A layer is a description: named parameters, named parts, and a pure function of tensors.
 * It holds no values. Values live in a map from full names ("layer1.0.conv1.weight", as in PyTorch) to tensors, so
 * that averaged, best and current weights can be run through one and the same model.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Stream, stream } from "../rng.js";
import type { Precision } from "./precision.js";

/** Full name -> value: parameters and running statistics together. */
export type Weights = Map<string, tf.Tensor>;

/** How a value lies in memory here, and so how it moves to and from PyTorch's layout (see weights-file.ts). */
export type Layout =
  | "conv" // [height, width, in, out]; PyTorch [out, in, height, width]
  | "depthwise" // [height, width, channels, 1]; PyTorch [channels, 1, height, width]
  | "linear" // [in, out]; PyTorch [out, in]
  | "vector"; // the same in both

/** A trainable value. */
export interface Parameter {
  readonly shape: readonly number[];
  readonly layout: Layout;
  /** Whether weight decay applies: true for kernels, false for biases and norms. */
  readonly decays: boolean;
  /** First values, in the shape's order. */
  initial(random: Stream): Float32Array;
}

/** A value that training moves without a gradient: running statistics. */
export interface Buffer {
  readonly shape: readonly number[];
  readonly initial: number;
}

export interface Layer {
  /** For `plan` and for people: "conv2d", "batch-norm", "basic-block". */
  readonly kind: string;
  readonly parameters?: Readonly<Record<string, Parameter>>;
  readonly buffers?: Readonly<Record<string, Buffer>>;
  readonly parts?: Readonly<Record<string, Layer>>;
  /**
   * A pure function of `x` and of the values that `pass` provides. Tensors made inside are freed when the enclosing part returns,
   * unless the backward pass needs them. A plugin that needs one later keeps a clone (`tf.keep`) and disposes of it.
   */
  forward(x: tf.Tensor, pass: Pass): tf.Tensor;
}

/** What a layer can read during one forward pass: its own values, and whether it is training. */
export interface Pass {
  readonly training: boolean;
  /** How the layers of this pass store what they give. */
  readonly precision: Precision;
  /** Full name of this layer, "" for the model itself. */
  readonly path: string;
  /** The value of one of this layer's parameters or buffers. */
  value(name: string): tf.Tensor;
  /** Whether a parameter of this layer is being trained; a frozen norm uses its running statistics. */
  trains(name: string): boolean;
  /** Sets the next value of a buffer; it takes effect once the step is known to be finite. */
  setBuffer(name: string, value: tf.Tensor): void;
  /** Uniform numbers in [0, 1), fresh for each micro-batch and layer; the same when the step is repeated. */
  uniform(shape: number[]): tf.Tensor;
  /** The pass of a part. */
  part(name: string): Pass;
  /** The same pass with another precision. */
  withPrecision(precision: Precision): Pass;
  /**
   * Runs this layer: an observer of the pass receives its output and returns the next value. Without an observer, tensors that
   * the layer made and that the backward pass does not need are freed.
   */
  run(compute: () => tf.Tensor): tf.Tensor;
  /** Notes the multiply-adds of the whole batch, for `plan`. */
  count(multiplyAdds: number): void;
}

/** What a pass is made from. Everything but the weights may be left out for plain inference. */
export interface PassOptions {
  weights: ReadonlyMap<string, tf.Tensor>;
  training?: boolean;
  /** Default "float32". */
  precision?: Precision;
  /** Names being trained; all when left out. */
  trained?: ReadonlySet<string>;
  /** Receives the next running statistics, to keep: the caller disposes of what arrives here. */
  onBuffer?: (name: string, value: tf.Tensor) => void;
  /** Uniform numbers for a layer's path; needed when training a model with random layers. */
  uniform?: (path: string, shape: number[]) => tf.Tensor;
  /** Receives every part's output and returns the value to continue with; Grad-CAM uses it. */
  observe?: (path: string, output: tf.Tensor) => tf.Tensor;
  onCount?: (path: string, multiplyAdds: number) => void;
}

/** Runs a model: `x` is [batch, height, width, channels], the result [batch, classes]. */
export function forward(layer: Layer, x: tf.Tensor, options: PassOptions): tf.Tensor {
  return layer.forward(x, createPass("", options));
}

function createPass(path: string, options: PassOptions): Pass {
  const prefix = path === "" ? "" : `${path}.`;
  const training = options.training ?? false;
  return {
    training,
    precision: options.precision ?? "float32",
    path,
    value(name) {
      const value = options.weights.get(prefix + name);
      if (!value) throw new Error(`The weights have no "${prefix + name}".`);
      return value;
    },
    trains: (name) => options.trained?.has(prefix + name) ?? true,
    setBuffer: (name, value) => options.onBuffer?.(prefix + name, tf.keep(value.clone())),
    uniform(shape) {
      if (!options.uniform) throw new Error(`"${path}" needs random numbers, and this pass has none.`);
      return options.uniform(path, shape);
    },
    part: (name) => createPass(prefix + name, options),
    withPrecision: (precision) => createPass(path, { ...options, precision }),
    run: (compute) => (options.observe ? options.observe(path, compute()) : tf.tidy(compute)),
    count: (multiplyAdds) => options.onCount?.(path, multiplyAdds),
  };
}

/**
 * The layer with its activations stored in another precision. Weights, statistics and what comes out behind the last
 * pooling stay float32.
 */
export function inPrecision(layer: Layer, precision: Precision): Layer {
  return { ...layer, forward: (x, pass) => layer.forward(x, pass.withPrecision(precision)) };
}

/**
 * Runs the part `name` of a layer. Composite layers call their parts through this, so that names, and what
 * observes activations, follow the structure.
 */
export function run(layer: Layer, name: string, x: tf.Tensor, pass: Pass): tf.Tensor {
  const part = layer.parts?.[name];
  if (!part) throw new Error(`"${layer.kind}" has no part "${name}".`);
  const inner = pass.part(name);
  return inner.run(() => part.forward(x, inner));
}

/** Every parameter by full name, in the order PyTorch lists them. */
export function namedParameters(layer: Layer): Map<string, Parameter> {
  return collect(layer, (each) => each.parameters);
}

/** How many numbers these parameters hold together. */
export function countParameters(parameters: Iterable<Pick<Parameter, "shape">>): number {
  let count = 0;
  for (const { shape } of parameters) count += shape.reduce((product, size) => product * size, 1);
  return count;
}

/** Every buffer by full name. */
export function namedBuffers(layer: Layer): Map<string, Buffer> {
  return collect(layer, (each) => each.buffers);
}

function collect<T>(layer: Layer, own: (layer: Layer) => Readonly<Record<string, T>> | undefined): Map<string, T> {
  const found = new Map<string, T>();
  const visit = (each: Layer, prefix: string): void => {
    for (const [name, value] of Object.entries(own(each) ?? {})) found.set(prefix + name, value);
    for (const [name, part] of Object.entries(each.parts ?? {})) visit(part, `${prefix}${name}.`);
  };
  visit(layer, "");
  return found;
}

/** First values of a model, a function of the seed and each name: adding a layer changes no other layer's values. */
export function initialWeights(layer: Layer, seed: number): Weights {
  const weights: Weights = new Map();
  for (const [name, parameter] of namedParameters(layer)) {
    const values = parameter.initial(stream(seed, `initial/${name}`));
    weights.set(name, tf.tensor(values, [...parameter.shape], "float32"));
  }
  for (const [name, buffer] of namedBuffers(layer)) {
    weights.set(name, tf.fill([...buffer.shape], buffer.initial, "float32"));
  }
  return weights;
}

/** Weights of the right names and shapes, where shapes alone matter. */
export function zeroWeights(layer: Layer): Weights {
  const all = [...namedParameters(layer), ...namedBuffers(layer)];
  return new Map(all.map(([name, { shape }]) => [name, tf.zeros([...shape])]));
}
