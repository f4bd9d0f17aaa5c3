/** A forward pass through a network's graph, with every value and weight rounded as the exported int8 model holds it. */
import * as tf from "@tensorflow/tfjs-core";
import { graph, ops, type Pass, TrainerError } from "../../core/index.js";

type Nodes<Op extends graph.Node["op"]> = Extract<graph.Node, { op: Op }>;

/** A norm or a constant per channel that joined a convolution or product, in the order of the network. */
export type Part =
  | { readonly kind: "norm"; readonly names: readonly [string, string, string, string]; readonly epsilon: number }
  | { readonly kind: "shift" | "scale"; readonly name: string }
  | { readonly kind: "constant"; readonly scale: Float64Array; readonly shift: Float64Array };

export interface Step {
  readonly node: graph.Node;
  /** Of a convolution or product. */
  readonly weight?: string;
  readonly parts: readonly Part[];
  /** Whether the value has a range of its own: others share that of their input, or have a fixed one. */
  readonly ranged: boolean;
}

export interface Structure {
  readonly input: string;
  readonly output: string;
  readonly steps: readonly Step[];
}

/** The value of the normalised image, as the exported graph names it. */
const normalised = "normalised";

/**
 * The graph that the export writes, with the names of the weights that its constants are made of.
 *
 * @throws TrainerError ERR_COMPOSITION for a constant that is made of weights in another way
 */
export function structureOf(traced: graph.Traced): Structure {
  const simple = graph.simplify(traced);
  const made = new Map(traced.graph.nodes.map((node) => [node.out, node]));
  const partOf = (value: string): Part[] => {
    const node = made.get(value)!;
    if (node.op !== "affine") return [];
    const operands = traced.operands.get(value);
    if (!operands) return [{ kind: "constant", scale: node.scale, shift: node.shift }];
    const { names, operation, epsilon } = operands;
    if (epsilon !== undefined) return [{ kind: "norm", names: names as [string, string, string, string], epsilon }];
    if (["Add", "AddV2", "BiasAdd"].includes(operation)) return [{ kind: "shift", name: names[0]! }];
    if (operation === "Mul") return [{ kind: "scale", name: names[0]! }];
    throw new TrainerError(
      "ERR_COMPOSITION",
      `Plugin "quantize-aware" cannot train a network with ${operation} of the weight "${names[0]}". Remove the plugin.`,
    );
  };
  const steps = simple.nodes.map((node): Step => {
    const parts = "weight" in node || node.op === "affine" ? node.parts!.flatMap(partOf) : [];
    const weight = "weight" in node ? traced.operands.get(node.parts![0]!)!.names[0]! : undefined;
    return { node, weight, parts, ranged: node.op !== "sigmoid" && !graph.keepsRange(node) };
  });
  return { input: simple.input, output: simple.output, steps };
}

/** Values with a range, in order. */
export const rangedValues = ({ steps }: Structure): string[] => [
  normalised,
  ...steps.flatMap(({ node, ranged }) => (ranged ? [node.out] : [])),
];

/** Share of a batch's extremes in the next range: PyTorch's `averaging_constant`. */
const momentum = 0.01;

/**
 * The range after a batch: the extremes at first, then moved towards those of each batch (PyTorch's
 * MovingAverageMinMaxObserver). [low, high], zero among them.
 */
export function movedRange(range: tf.Tensor, x: tf.Tensor): tf.Tensor {
  return tf.tidy(() => {
    const found = tf.stack([tf.minimum(tf.min(x), 0), tf.maximum(tf.max(x), 0)]);
    const [low, high] = tf.unstack(range);
    return tf.where(tf.equal(low!, high!), found, tf.add(range, tf.mul(tf.sub(found, range), momentum)));
  });
}

/**
 * Logits of images [batch, size, size, 3].
 *
 * @param frozen norms use their running statistics and ranges stay: what the exported model computes
 */
export function quantizedForward({ input, output, steps }: Structure, images: tf.Tensor, pass: Pass, frozen: boolean) {
  const values = new Map<string, tf.Tensor>();
  const rounded = (value: string, x: tf.Tensor): tf.Tensor => {
    const name = graph.rangeName(value);
    const before = pass.value(name);
    return ops.fakeQuantize(x, (seen) => {
      if (frozen) return before;
      const range = movedRange(before, seen);
      pass.setBuffer(name, range);
      return range;
    });
  };
  values.set(input, rounded(normalised, images));
  for (const step of steps) {
    const { node, ranged } = step;
    const y = pass.part(node.out).run(() => {
      const plain = activated(
        node.activation,
        computed(step, (value) => values.get(value)!, pass, frozen),
      );
      if (ranged) return rounded(node.out, plain);
      return node.op === "sigmoid" ? ops.fakeQuantize(plain, () => tf.tensor1d([0, 255 / 256])) : plain;
    });
    values.set(node.out, y);
  }
  return values.get(output)!;
}

/** One in place of what is too small to divide by: the factor of a channel that is gone. */
const nonZero = tf.customGrad((...args) => {
  const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
  const large = tf.greater(tf.abs(x), 1e-12);
  save([large]);
  return {
    value: tf.where(large, x, tf.onesLike(x)),
    gradFunc: (dy, [kept]) => tf.mul(dy, tf.cast(kept as tf.Tensor, "float32")),
  };
}) as (x: tf.Tensor) => tf.Tensor;

/** A step's value before its activation and rounding. */
export function computed(step: Step, get: (value: string) => tf.Tensor, pass: Pass, frozen: boolean): tf.Tensor {
  const { node } = step;
  switch (node.op) {
    case "conv":
    case "depthwise":
    case "dense": {
      const scale = step.parts.reduce<tf.Tensor | undefined>((product, part) => {
        const factor = scaleOf(part, pass);
        return product && factor ? tf.mul(product, factor) : (factor ?? product);
      }, undefined);
      // The weights are rounded as they are exported: with the norm in them.
      const live = !frozen && step.parts.some((part) => part.kind === "norm" && trains(part, pass));
      const weight = pass.value(step.weight!);
      const shape = node.op === "depthwise" ? [scale?.size ?? 1, 1] : [scale?.size ?? 1];
      const folded = (factor: tf.Tensor): tf.Tensor =>
        ops.fakeQuantizeFilter(tf.mul(weight, tf.reshape(factor, shape)), { depthwise: node.op === "depthwise" });
      if (!scale) {
        const sum = product(node, get(node.x), ops.fakeQuantizeFilter(weight, { depthwise: node.op === "depthwise" }));
        return step.parts.length > 0 ? tf.add(sum, shiftOf(step.parts, pass)) : sum;
      }
      if (!live) return tf.add(product(node, get(node.x), folded(scale)), shiftOf(step.parts, pass));
      // A norm that uses its batch sees the sum without the factor (Krishnamoorthi 2018, section 3.2.1.1).
      const factor = nonZero(scale);
      return step.parts.reduce(
        (x, part) => applied(part, x, pass),
        tf.div(product(node, get(node.x), folded(factor)), factor),
      );
    }
    case "affine":
      return step.parts.reduce((x, part) => applied(part, x, pass, frozen), get(node.x));
    case "add":
      return tf.add(get(node.a), get(node.b));
    case "mul":
      return tf.mul(get(node.a), get(node.b));
    case "mean": {
      const mean = ops.globalAveragePool(get(node.x));
      return node.keepDims ? tf.reshape(mean, [mean.shape[0]!, 1, 1, mean.shape[1]!]) : mean;
    }
    case "max-pool": {
      const x = padded(get(node.x), node.pads, -3.4e38);
      return tf.maxPool(x, [...node.size], [...node.strides], "valid");
    }
    case "relu":
    case "relu6":
      return activated(node.op, get(node.x));
    case "sigmoid":
      return tf.sigmoid(get(node.x));
    case "erf":
      return tf.erf(get(node.x));
    case "gelu":
      return ops.gelu(get(node.x));
    case "reshape":
      return tf.reshape(get(node.x), [get(node.x).shape[0]!, ...node.shape.slice(1)]);
  }
}

function product(node: Nodes<"conv" | "depthwise" | "dense">, x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  if (node.op === "dense") return tf.matMul(x as tf.Tensor2D, weight as tf.Tensor2D);
  const { stride, pads } = node;
  const convolve = node.op === "conv" ? ops.conv2d : ops.depthwiseConv2d;
  // Equal zeros on every side are the kernel's own.
  const even = pads.every((each) => each === pads[0]);
  return even ? convolve(x, weight, { stride, padding: pads[0] }) : convolve(padded(x, pads), weight, { stride });
}

function padded(x: tf.Tensor, [top, left, bottom, right]: graph.Pads, value = 0): tf.Tensor4D {
  const around: [number, number][] = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  return top + left + bottom + right === 0 ? (x as tf.Tensor4D) : (tf.pad(x, around, value) as tf.Tensor4D);
}

function activated(activation: graph.Activation, x: tf.Tensor): tf.Tensor {
  if (activation === "none") return x;
  return activation === "relu" ? ops.relu(x) : ops.relu6(x);
}

const constant = (values: Float64Array): tf.Tensor => tf.tensor1d(Float32Array.from(values));

const trains = ({ names: [scale, shift] }: Extract<Part, { kind: "norm" }>, pass: Pass): boolean =>
  pass.trains(scale) || pass.trains(shift);

/** What a part multiplies each channel by, a norm with its running statistics. */
function scaleOf(part: Part, pass: Pass): tf.Tensor | undefined {
  switch (part.kind) {
    case "norm":
      return tf.mul(pass.value(part.names[0]), tf.rsqrt(tf.add(pass.value(part.names[3]), part.epsilon)));
    case "scale":
      return pass.value(part.name);
    case "shift":
      return undefined;
    case "constant":
      return constant(part.scale);
  }
}

/** What all parts add up to behind the product. */
function shiftOf(parts: readonly Part[], pass: Pass): tf.Tensor {
  return parts.reduce<tf.Tensor>((shift, part) => {
    switch (part.kind) {
      case "norm": {
        const [, beta, mean] = part.names.map((name) => pass.value(name));
        return tf.add(tf.mul(tf.sub(shift, mean!), scaleOf(part, pass)!), beta!);
      }
      case "shift":
        return tf.add(shift, pass.value(part.name));
      case "scale":
        return tf.mul(shift, pass.value(part.name));
      case "constant":
        return tf.add(tf.mul(shift, constant(part.scale)), constant(part.shift));
    }
  }, tf.scalar(0));
}

/** A part by itself, a norm with the statistics of its batch where it trains. */
function applied(part: Part, x: tf.Tensor, pass: Pass, frozen = false): tf.Tensor {
  switch (part.kind) {
    case "norm": {
      const [scale, shift, mean, variance] = part.names.map((name) => pass.value(name));
      const running = { mean: mean!, variance: variance! };
      const { epsilon } = part;
      if (frozen || !trains(part, pass)) return ops.batchNormInference(x, scale!, shift!, running, epsilon);
      const normed = ops.batchNorm(x, scale!, shift!, running, { epsilon, momentum: 0.1 });
      pass.setBuffer(part.names[2], normed.mean);
      pass.setBuffer(part.names[3], normed.variance);
      return normed.y;
    }
    case "shift":
      return tf.add(x, pass.value(part.name));
    case "scale":
      return tf.mul(x, pass.value(part.name));
    case "constant":
      return tf.add(tf.mul(x, constant(part.scale)), constant(part.shift));
  }
}
