/**
 * `trainer backend check`: whether a device computes what the formulas say, how a short training on it compares with
 * WebAssembly's, and how fast it is. For machines that the tests have never seen: a user can send the table in.
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Backend, type BackendName, loadBackend } from "../backend/index.js";
import { shapes } from "../data/shapes.js";
import { reasonOf } from "../errors.js";
import { Trainer } from "../loop/trainer.js";
import { resnet18 } from "../models/resnet.js";
import { sgd } from "../nn/optimizers.js";
import { stream } from "../rng.js";
import { type Numbers, type OperationCheck, operationChecks } from "./formulas.js";

/** One comparison with a formula, or the reason why there is none. */
export interface CheckResult {
  /** The operation; of a gradient, "with respect to" which input. */
  readonly operation: string;
  readonly gradientOf?: string;
  /** Norm of the difference over the norm of the exact result. */
  readonly error?: number;
  readonly tolerance: number;
  readonly ok: boolean;
  /** What the backend threw. */
  readonly failure?: string;
}

/** A short training on two backends. */
export interface TrainingCheck {
  readonly backend: BackendName;
  /** One a step. */
  readonly losses: readonly number[];
  /** Training images a second, the median of the steps after the first five. */
  readonly imagesPerSecond: number;
}

/** Plain JSON. */
export interface BackendCheck {
  readonly backend: Backend;
  readonly node: string;
  readonly platform: string;
  readonly operations: readonly CheckResult[];
  /** On the backend, and on WebAssembly for comparison where that is another one. */
  readonly trainings: readonly TrainingCheck[];
  /** Largest relative difference of the first six losses of the two trainings, and what is allowed. */
  readonly difference?: { readonly value: number; readonly tolerance: number };
  readonly ok: boolean;
}

/** Float32 in, sums in another order: far above what any backend here shows, far below a wrong formula. */
const tolerance = 1e-5;
/** TF32, which GPUs since Ampere use for products, keeps ten bits. */
const productTolerance = 2e-3;
const lossTolerance = 1e-3;
/** Losses of so many steps are compared: from step to step a difference of rounding grows about threefold. */
const compared = 6;

/** Checks a backend; without a name, the one that a run would use. */
export async function checkBackend({
  name,
  steps = 15,
  log = () => {},
}: {
  name?: BackendName;
  steps?: number;
  log?: (line: string) => void;
} = {}): Promise<BackendCheck> {
  const backend = await loadBackend({ name, log });
  log(`comparing ${operationChecks.length} operations and their gradients with formulas in double precision`);
  const onGpu = backend.device.startsWith("GPU");
  const operations = operationChecks.flatMap((each, key) => checkOperation(each, key, onGpu));
  const trainings: TrainingCheck[] = [];
  for (const each of backend.name === "wasm" ? (["wasm"] as const) : ([backend.name, "wasm"] as const)) {
    log(`training for ${steps} steps on ${each}`);
    trainings.push(await train(each, steps));
  }
  await loadBackend({ name: backend.name });
  const [first, second] = trainings;
  const difference = second && {
    value: Math.max(...first!.losses.slice(0, compared).map((loss, step) => Math.abs(loss / second.losses[step]! - 1))),
    tolerance: onGpu ? 10 * lossTolerance : lossTolerance,
  };
  return {
    backend,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    operations,
    trainings,
    ...(difference ? { difference } : {}),
    ok: operations.every(({ ok }) => ok) && (!difference || difference.value <= difference.tolerance),
  };
}

/** The result of an operation, and its gradient with respect to each input that is not fixed. */
export function checkOperation(check: OperationCheck, key: number, onGpu = false): CheckResult[] {
  const { name, inputs, fixed = [], products = false } = check;
  const allowed = onGpu && products ? productTolerance : tolerance;
  const values = drawInputs(check, key);
  const exact = check.formula(values);
  const weights = numbers(exact.length, stream(1, "check/weights", key));
  const result = (ours: () => ArrayLike<number>, wanted: Numbers, gradientOf?: string): CheckResult => {
    const label = { operation: name, ...(gradientOf === undefined ? {} : { gradientOf }), tolerance: allowed };
    try {
      const error = relativeError(ours(), wanted);
      return { ...label, error, ok: error <= allowed };
    } catch (error) {
      return { ...label, ok: false, failure: reasonOf(error) };
    }
  };
  const tensors = (): Record<string, tf.Tensor> =>
    Object.fromEntries(
      Object.entries(inputs).map(([input, shape]) => [input, tf.tensor([...values[input]!], [...shape])]),
    );
  const moving = Object.keys(inputs).filter((input) => !fixed.includes(input));
  const forward = result(() => tf.tidy(() => check.compute(tensors()).dataSync()), exact);
  return [
    forward,
    ...moving.map((input) => {
      const ours = (): ArrayLike<number> =>
        tf.tidy(() => {
          const { [input]: x, ...others } = tensors();
          const weighted = (value: tf.Tensor): tf.Scalar => {
            const out = check.compute({ ...others, [input]: value });
            return tf.sum(tf.mul(out, tf.tensor(weights, out.shape)));
          };
          return tf.grad(weighted)(x!).dataSync();
        });
      return result(ours, exactGradient(check, values, weights, input), input);
    }),
  ];
}

/**
 * Numbers with distances of at least 0.02 to each other and to the bends of ReLU at 0 and 6, so that a small step crosses
 * no bend and changes no maximum.
 */
function drawInputs({ inputs, positive = [] }: OperationCheck, key: number): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(inputs).map(([input, shape], which) => {
      const size = shape.reduce((product, side) => product * side, 1);
      const order = [...stream(1, `check/${input}`, key, which).permutation(size)];
      const spread = order.map((place) => Math.fround((place - (size - 1) / 2 + 0.25) * Math.max(0.02, 4 / size)));
      return [input, positive.includes(input) ? spread.map((value) => Math.fround(Math.abs(value) + 0.5)) : spread];
    }),
  );
}

const numbers = (size: number, draws: ReturnType<typeof stream>): number[] =>
  Array.from({ length: size }, () => Math.fround(draws.range(-1, 1)));

/** Central differences of the formula: in double precision their error is about 1e-8. */
function exactGradient(
  { formula }: OperationCheck,
  values: Readonly<Record<string, Numbers>>,
  weights: Numbers,
  input: string,
): number[] {
  const width = 1e-5;
  const total = (moved: Numbers): number =>
    formula({ ...values, [input]: moved }).reduce((sum, value, index) => sum + value * weights[index]!, 0);
  return values[input]!.map((value, place) => {
    const [up, down] = [width, -width].map((step) => total(values[input]!.with(place, value + step))) as [
      number,
      number,
    ];
    return (up - down) / (2 * width);
  });
}

function relativeError(ours: ArrayLike<number>, exact: Numbers): number {
  if (ours.length !== exact.length) throw new Error(`expected ${exact.length} numbers, got ${ours.length}`);
  return Math.hypot(...exact.map((value, index) => value - ours[index]!)) / Math.hypot(...exact);
}

/** A small residual network on drawn shapes, the same on every machine. */
async function train(backend: BackendName, steps: number): Promise<TrainingCheck> {
  const batchSize = 16;
  const trainer = new Trainer({
    name: "backend-check",
    data: shapes({ classes: 4, size: 16, train: steps * batchSize, test: 4 }),
    model: resnet18({ width: 8, stem: "cifar" }),
    optimizer: sgd({ momentum: 0.9 }),
    learningRate: 0.002, // rounding grows slowly, so that losses can be compared
    batchSize,
    epochs: 1,
    holdout: 0,
    backend,
  });
  const losses: number[] = [];
  const speeds: number[] = [];
  trainer.events.on("step", (step) => {
    losses.push(step.loss);
    speeds.push(step.imagesPerSecond);
  });
  (await trainer.fit()).dispose();
  const late = speeds.slice(5).sort((a, b) => a - b); // before, the step is recorded and becomes a graph
  return { backend, losses, imagesPerSecond: late[late.length >> 1]! };
}

const short = (value: number | undefined): string => (value === undefined ? "" : value.toExponential(1));

/** The table for people. */
export function formatCheck({ backend, node, platform, operations, trainings, difference, ok }: BackendCheck): string {
  const names = operations.map(({ operation, gradientOf }) =>
    gradientOf === undefined ? operation : `  gradient of ${gradientOf}`,
  );
  const width = Math.max(...names.map(({ length }) => length));
  const lines = operations.map(({ error, tolerance: allowed, ok: good, failure }, index) => {
    const state = failure ?? (good ? "ok" : "WRONG");
    return `${names[index]!.padEnd(width)}  ${short(error).padStart(8)}  ${short(allowed).padStart(8)}  ${state}`;
  });
  return [
    `${backend.name} ${backend.version} on ${backend.device}, ${backend.threads} threads; node ${node} on ${platform}`,
    "",
    `${"operation".padEnd(width)}  ${"error".padStart(8)}  ${"allowed".padStart(8)}`,
    ...lines,
    "",
    ...trainings.map(
      ({ backend: on, losses, imagesPerSecond }) =>
        `training on ${on}: loss ${losses[0]!.toFixed(4)} to ${losses.at(-1)!.toFixed(4)}, ${imagesPerSecond.toFixed(0)} images/s`,
    ),
    ...(difference
      ? [
          `largest relative difference of the first ${compared} losses: ${short(difference.value)}, allowed ${short(difference.tolerance)}`,
        ]
      : []),
    ok ? "All as the formulas say." : "NOT as the formulas say: please send this table in.",
  ].join("\n");
}
