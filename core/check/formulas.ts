/**
 * Each operation that a network is made of, beside its formula in double precision. Plain loops, slow and readable: they are
 * what a backend's results are compared with.
 */
import * as tf from "@tensorflow/tfjs-core";
import * as ops from "../nn/ops.js";

/** Numbers of one input, in the order of tensors: the last axis runs fastest. */
export type Numbers = readonly number[];

export interface OperationCheck {
  readonly name: string;
  /** Shapes of the inputs. Gradients are checked for all of them but those named in `fixed`. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly fixed?: readonly string[];
  /** Inputs that must be positive, as a variance is. */
  readonly positive?: readonly string[];
  /** A sum of products, which a GPU may round to TF32 first. */
  readonly products?: boolean;
  compute(inputs: Readonly<Record<string, tf.Tensor>>): tf.Tensor;
  formula(inputs: Readonly<Record<string, Numbers>>): number[];
}

type Map4 = readonly [batch: number, height: number, width: number, channels: number];

const range = (size: number): number[] => Array.from({ length: size }, (_, index) => index);
const sum = (values: Numbers): number => values.reduce((total, value) => total + value, 0);
const at = ([, height, width, channels]: Map4, n: number, y: number, x: number, c: number): number =>
  ((n * height + y) * width + x) * channels + c;

/** Calls `each` for every place of an output map with those places of the input that its window covers. */
function windows(
  [batch, height, width]: Map4,
  { size, stride, padding }: { size: number; stride: number; padding: number },
  each: (n: number, inside: readonly { y: number; x: number; ky: number; kx: number }[]) => void,
): void {
  const places = (length: number): number[] => range(Math.floor((length + 2 * padding - size) / stride) + 1);
  for (const n of range(batch)) {
    for (const top of places(height)) {
      for (const left of places(width)) {
        const all = range(size).flatMap((ky) =>
          range(size).map((kx) => ({ y: top * stride - padding + ky, x: left * stride - padding + kx, ky, kx })),
        );
        each(
          n,
          all.filter(({ y, x }) => y >= 0 && y < height && x >= 0 && x < width),
        );
      }
    }
  }
}

function convolution(name: string, size: number, stride: number, padding: number): OperationCheck {
  const shape = [2, 6, 6, 3] as const;
  const [, , , channels] = shape;
  const filters = 4;
  return {
    name,
    inputs: { x: shape, w: [size, size, channels, filters] },
    products: true,
    compute: ({ x, w }) => ops.conv2d(x!, w!, { stride, padding }),
    formula({ x, w }) {
      const out: number[] = [];
      windows(shape, { size, stride, padding }, (n, inside) => {
        for (const f of range(filters)) {
          const terms = inside.flatMap((p) =>
            range(channels).map(
              (c) => x![at(shape, n, p.y, p.x, c)]! * w![((p.ky * size + p.kx) * channels + c) * filters + f]!,
            ),
          );
          out.push(sum(terms));
        }
      });
      return out;
    },
  };
}

function depthwise(stride: number): OperationCheck {
  const shape = [2, 6, 6, 3] as const;
  const [, , , channels] = shape;
  return {
    name: `depthwise convolution 3 x 3, stride ${stride}`,
    inputs: { x: shape, w: [3, 3, channels, 1] },
    products: true,
    compute: ({ x, w }) => ops.depthwiseConv2d(x!, w!, { stride, padding: 1 }),
    formula({ x, w }) {
      const out: number[] = [];
      windows(shape, { size: 3, stride, padding: 1 }, (n, inside) => {
        for (const c of range(channels)) {
          const terms = inside.map((p) => x![at(shape, n, p.y, p.x, c)]! * w![(p.ky * 3 + p.kx) * channels + c]!);
          out.push(sum(terms));
        }
      });
      return out;
    },
  };
}

function elementwise(
  name: string,
  compute: (x: tf.Tensor) => tf.Tensor,
  formula: (x: number) => number,
): OperationCheck {
  return {
    name,
    inputs: { x: [2, 3, 3, 4] },
    compute: ({ x }) => compute(x!),
    formula: ({ x }) => x!.map(formula),
  };
}

/** erf, from its series: exact to double precision for the numbers that are drawn here. */
function erf(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-18; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

const normShape = [4, 3, 3, 3] as const;
const epsilon = 1e-5;

/** Values of one channel of a map. */
const ofChannel = (x: Numbers, channel: number, channels: number): number[] =>
  x.filter((_, index) => index % channels === channel);

const momentsOf = (values: Numbers): { mean: number; variance: number } => {
  const mean = sum(values) / values.length;
  return { mean, variance: sum(values.map((value) => (value - mean) ** 2)) / values.length };
};

const batchNorm: OperationCheck = {
  name: "batch norm, training",
  inputs: { x: normShape, scale: [3], offset: [3] },
  compute({ x, scale, offset }) {
    const running = { mean: tf.zeros([3]), variance: tf.ones([3]) };
    return ops.batchNorm(x!, scale!, offset!, running, { epsilon, momentum: 0.1 }).y;
  },
  formula({ x, scale, offset }) {
    const moments = range(3).map((channel) => momentsOf(ofChannel(x!, channel, 3)));
    return x!.map((value, index) => {
      const { mean, variance } = moments[index % 3]!;
      return ((value - mean) / Math.sqrt(variance + epsilon)) * scale![index % 3]! + offset![index % 3]!;
    });
  },
};

/** The next running mean and variance, one after the other. */
const runningStatistics: OperationCheck = {
  name: "batch norm, running statistics",
  inputs: { x: normShape, mean: [3], variance: [3] },
  fixed: ["x", "mean", "variance"],
  positive: ["variance"],
  compute({ x, mean, variance }) {
    const running = { mean: mean!, variance: variance! };
    const next = ops.batchNorm(x!, tf.ones([3]), tf.zeros([3]), running, { epsilon, momentum: 0.1 });
    return tf.concat([next.mean, next.variance]);
  },
  formula({ x, mean, variance }) {
    const count = x!.length / 3;
    const moments = range(3).map((channel) => momentsOf(ofChannel(x!, channel, 3)));
    const next = (old: Numbers, now: Numbers): number[] => old.map((value, c) => 0.9 * value + 0.1 * now[c]!);
    return [
      ...next(
        mean!,
        moments.map((each) => each.mean),
      ),
      ...next(
        variance!,
        moments.map((each) => (each.variance * count) / (count - 1)),
      ),
    ];
  },
};

const batchNormInference: OperationCheck = {
  name: "batch norm, inference",
  inputs: { x: normShape, scale: [3], offset: [3], mean: [3], variance: [3] },
  fixed: ["mean", "variance"],
  positive: ["variance"],
  compute: ({ x, scale, offset, mean, variance }) =>
    ops.batchNormInference(x!, scale!, offset!, { mean: mean!, variance: variance! }, epsilon),
  formula: ({ x, scale, offset, mean, variance }) =>
    x!.map((value, index) => {
      const c = index % 3;
      return ((value - mean![c]!) / Math.sqrt(variance![c]! + epsilon)) * scale![c]! + offset![c]!;
    }),
};

const poolShape = [2, 6, 6, 3] as const;

const maxPool: OperationCheck = {
  name: "max pooling 3 x 3, stride 2",
  inputs: { x: poolShape },
  compute: ({ x }) => ops.maxPool(x!, 3, 2, 1),
  formula({ x }) {
    const out: number[] = [];
    windows(poolShape, { size: 3, stride: 2, padding: 1 }, (n, inside) => {
      for (const c of range(3)) out.push(Math.max(...inside.map((p) => x![at(poolShape, n, p.y, p.x, c)]!)));
    });
    return out;
  },
};

/** A figure of each channel of each image. */
const global = (
  name: string,
  compute: (x: tf.Tensor) => tf.Tensor,
  figure: (values: Numbers) => number,
): OperationCheck => ({
  name,
  inputs: { x: poolShape },
  compute: ({ x }) => compute(x!),
  formula: ({ x }) =>
    range(2).flatMap((n) => range(3).map((c) => figure(ofChannel(x!.slice(n * 108, (n + 1) * 108), c, 3)))),
});

const resize = (side: number): OperationCheck => ({
  name: `bilinear resize, 6 to ${side}`,
  inputs: { x: poolShape },
  products: true,
  compute: ({ x }) => ops.resize(x!, side, side),
  formula({ x }) {
    const place = (index: number): { low: number; high: number; share: number } => {
      const from = Math.min(Math.max(((index + 0.5) * 6) / side - 0.5, 0), 5);
      return { low: Math.floor(from), high: Math.min(Math.floor(from) + 1, 5), share: from - Math.floor(from) };
    };
    const value = (n: number, top: number, left: number, c: number): number => {
      const [y, z] = [place(top), place(left)];
      const row = (line: number): number =>
        x![at(poolShape, n, line, z.low, c)]! * (1 - z.share) + x![at(poolShape, n, line, z.high, c)]! * z.share;
      return row(y.low) * (1 - y.share) + row(y.high) * y.share;
    };
    return range(2).flatMap((n) =>
      range(side).flatMap((top) => range(side).flatMap((left) => range(3).map((c) => value(n, top, left, c)))),
    );
  },
});

const logSoftmax = (row: Numbers): number[] => {
  const largest = Math.max(...row);
  const logSum = largest + Math.log(sum(row.map((value) => Math.exp(value - largest))));
  return row.map((value) => value - logSum);
};

const rows = (values: Numbers, size: number): number[][] =>
  range(values.length / size).map((row) => values.slice(row * size, (row + 1) * size));

export const operationChecks: readonly OperationCheck[] = [
  convolution("convolution 3 x 3", 3, 1, 1),
  convolution("convolution 3 x 3, stride 2", 3, 2, 1),
  convolution("convolution 1 x 1", 1, 1, 0),
  convolution("convolution 1 x 1, stride 2", 1, 2, 0),
  convolution("convolution 5 x 5 without padding", 5, 1, 0),
  depthwise(1),
  depthwise(2),
  {
    name: "dense",
    inputs: { x: [4, 6], w: [6, 5], b: [5] },
    products: true,
    compute: ({ x, w, b }) => tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), b!),
    formula: ({ x, w, b }) =>
      rows(x!, 6).flatMap((row) => b!.map((bias, out) => bias + sum(row.map((value, k) => value * w![k * 5 + out]!)))),
  },
  batchNorm,
  runningStatistics,
  batchNormInference,
  elementwise("ReLU", ops.relu, (x) => Math.max(x, 0)),
  elementwise("ReLU6", ops.relu6, (x) => Math.min(Math.max(x, 0), 6)),
  elementwise("SiLU", ops.silu, (x) => x / (1 + Math.exp(-x))),
  elementwise("GELU", ops.gelu, (x) => (x / 2) * (1 + erf(x * Math.SQRT1_2))),
  elementwise("sigmoid", tf.sigmoid, (x) => 1 / (1 + Math.exp(-x))),
  {
    name: "residual add",
    inputs: { a: poolShape, b: poolShape },
    compute: ({ a, b }) => ops.add(a!, b!),
    formula: ({ a, b }) => a!.map((value, index) => value + b![index]!),
  },
  maxPool,
  global("global average pooling", ops.globalAveragePool, (values) => sum(values) / values.length),
  global("global max pooling", ops.globalMaxPool, (values) => Math.max(...values)),
  resize(9),
  resize(4),
  {
    name: "softmax",
    inputs: { x: [4, 5] },
    compute: ({ x }) => tf.softmax(x!),
    formula: ({ x }) => rows(x!, 5).flatMap((row) => logSoftmax(row).map(Math.exp)),
  },
  {
    name: "cross entropy",
    inputs: { logits: [4, 5], targets: [4, 5] },
    fixed: ["targets"],
    positive: ["targets"],
    compute: ({ logits, targets }) => ops.softCrossEntropy(logits!, targets!),
    formula({ logits, targets }) {
      const logs = rows(logits!, 5).flatMap(logSoftmax);
      return [-sum(logs.map((log, index) => log * targets![index]!)) / 4];
    },
  },
  {
    name: "sum of squares",
    inputs: { x: [3, 7] },
    fixed: ["x"],
    compute: ({ x }) => ops.squaredNorm([x!]),
    formula: ({ x }) => [sum(x!.map((value) => value * value))],
  },
];
