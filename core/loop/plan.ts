/**
 * A run without training: the loop with every tap, the network's size, the schedule, and the expected memory.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { ResolvedConfig } from "../config/config.js";
import { duration, formatBytes, scaled, short } from "../format.js";
import { heldBytes } from "../nn/backward.js";
import { countParameters, forward, zeroWeights } from "../nn/layer.js";
import { planHints } from "./hints.js";
import type { HookSet, TapInfo } from "./hook-set.js";
import type { HookName } from "./hooks.js";
import { assumedEpochs, progressAt } from "./position.js";
import type { Session } from "./session.js";
import { initialState } from "./state.js";

export interface Plan {
  readonly name: string;
  readonly data: string;
  readonly model: string;
  readonly loss: string;
  readonly backend: string;
  readonly samples: Session["samples"];
  readonly inputSize: number;
  /** Absent with `maxTime`, and so is `totalSteps`. */
  readonly epochs?: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps?: number;
  /** Seconds of training, where time ends the run. */
  readonly maxTime?: number;
  readonly batchSize: number;
  /** Micro-batches of one optimizer step, where the plugins accumulate. */
  readonly microBatchesPerStep: number;
  readonly parameters: number;
  /** Of one image, forward. */
  readonly multiplyAdds: number;
  /** Bytes: `activations` are those that the backward pass needs; `total` includes all tensors of a step and the process. */
  readonly memory: { weights: number; optimizer: number; activations: number; total: number };
  /** The rate at evenly spaced steps, the first and the last included. */
  readonly learningRate: readonly { step: number; rate: number }[];
  readonly taps: readonly TapInfo[];
  readonly hints: readonly string[];
}

/** The parts of a trainer that a plan shows. */
export interface Planned {
  readonly config: ResolvedConfig;
  readonly hooks: HookSet;
  /** Hints about the combination of plugins. */
  readonly hints: readonly string[];
}

/** Measured memory of Node with TypeScript and TensorFlow, before the first tensor. */
const processBytes = 0.45 * 2 ** 30;

/** Points of the schedule that a plan shows. */
const scheduleSamples = 61;

/**
 * Makes the plan of a prepared run. Calls `resolveLearningRate` for future steps, and trains nothing.
 */
export function makePlan(trainer: Planned, session: Session): Plan {
  const { config, hooks, hints } = trainer;
  const { model, inputSize, stepsPerEpoch, stepsAt } = session;
  const { maxTime, epochs } = config;
  const { totalSteps } = progressAt(0, config, session);
  // The values do not matter here, and drawing initial weights of a large network takes a second.
  const state = initialState(zeroWeights(model.layer), session.rules);
  const size = (tensors: Iterable<tf.Tensor>): number => [...tensors].reduce((sum, tensor) => sum + tensor.size, 0);
  const weights = size(state.weights.values()) * 4;
  const optimizer = size(state.slots.values()) * 4;
  const pass = (images: number, onCount?: (path: string, multiplyAdds: number) => void): number =>
    heldBytes(
      () =>
        forward(model.layer, tf.zeros([images, inputSize, inputSize, 3]), {
          weights: state.weights,
          training: true,
          uniform: (_, shape) => tf.zeros(shape),
          onCount,
        }),
      state.weights.values(),
    );
  let multiplyAdds = 0;
  const one = pass(1, (_, number) => (multiplyAdds += number));
  const activations = pass(2) - one;
  for (const tensor of [...state.weights.values(), ...state.slots.values()]) tensor.dispose();

  const places = Math.min(scheduleSamples, totalSteps);
  const learningRate = Array.from({ length: places }, (_, place) => {
    const step = places === 1 ? 0 : Math.round((place * (totalSteps - 1)) / (places - 1));
    const progress = progressAt(step, config, session);
    return { step, rate: hooks.call.resolveLearningRate(config.learningRate, progress) };
  });
  const held = activations * config.batchSize;
  return {
    name: config.name,
    data: config.data.name,
    model: config.model.name,
    loss: config.loss.name,
    backend: session.backend.name,
    samples: session.samples,
    inputSize,
    stepsPerEpoch,
    ...(maxTime === undefined ? { epochs, totalSteps } : { maxTime }),
    batchSize: config.batchSize,
    microBatchesPerStep: stepsAt.indexOf(true) + 1,
    parameters: countParameters(session.parameters.values()),
    multiplyAdds,
    // Gradients are as large as the weights; the step keeps old and new weights and slots side by side.
    memory: { weights, optimizer, activations: held, total: held + 3 * weights + 2 * optimizer + processBytes },
    learningRate,
    taps: hooks.taps(),
    hints: [...hints, ...planHints(trainer, session, learningRate)],
  };
}

/** The loop as `plan` prints it: one line per place, with its hook. */
const loopWith = (loss: string): readonly (readonly [depth: number, text: string, hook?: HookName])[] => [
  [0, "which processes train", "resolveGroup"],
  [0, "build the model"],
  [1, "each residual branch", "buildBlock"],
  [1, "before the classifier", "buildHead"],
  [1, "the whole network", "buildNetwork"],
  [0, "the run starts", "onFitStart"],
  [0, "each epoch", "resolveParamGroups"],
  [1, "the order of the images", "resolveOrder"],
  [1, "each image is read", "resolveCrop"],
  [2, "its pixels", "beforeSample"],
  [1, "each micro-batch", "beforeBatch"],
  [2, `loss = ${loss}(model(images), targets)`, "afterLoss"],
  [2, "gradients", "afterBackward"],
  [2, "step now?", "shouldStep"],
  [1, "each optimizer step", "resolveLearningRate"],
  [2, "gradients in use", "beforeStep"],
  [2, "weights after the update", "afterStep"],
  [2, "step done", "onStep"],
  [1, "evaluate", "beforeEvaluate"],
  [2, "metrics", "afterEvaluate"],
  [1, "the epoch ends", "onEpochEnd"],
  [1, "stop?", "shouldStop"],
  [0, "the run ends", "onFitEnd"],
];

/** The plan for people; the chart takes at most `width` columns. */
export function formatPlan(plan: Plan, width = 80): string {
  const { samples, memory } = plan;
  const rates = plan.learningRate.map(({ rate }) => rate);
  const lines = [
    `${plan.name}: ${plan.model} on ${plan.data}`,
    "",
    `parameters     ${plan.parameters.toLocaleString("en")}`,
    `multiply-adds  ${scaled(plan.multiplyAdds)} per image of ${plan.inputSize} px`,
    `images         ${samples.train} training, ${samples.validation} validation, ${samples.test} test`,
    `steps          ${plan.stepsPerEpoch} per epoch, ${lengthOf(plan)}; ` +
      `${plan.microBatchesPerStep} × ${plan.batchSize} images each`,
    `memory         about ${formatBytes(memory.total)} (activations ${formatBytes(memory.activations)}), an estimate`,
    `backend        ${plan.backend}`,
    "",
    "the loop, with the plugins at each hook, in order",
    ...loopWith(plan.loss).map(([depth, text, hook]) => {
      const left = `${"  ".repeat(depth + 1)}${text}`;
      const taps = plan.taps.filter((tap) => tap.hook === hook).map(tapText);
      const right = hook === undefined ? "" : taps.length > 0 ? `${hook}: ${taps.join(" → ")}` : hook;
      return `${left.padEnd(52)}${right}`.trimEnd();
    }),
    "",
    plan.maxTime === undefined ? "learning rate" : `learning rate over the time, drawn for ${assumedEpochs} epochs`,
    ...blockChart(rates, Math.min(width, 72)),
    `  first ${short(rates[0]!)}, highest ${short(Math.max(...rates))}, last ${short(rates.at(-1)!)}`,
  ];
  if (plan.hints.length > 0) lines.push("", "hints", ...plan.hints.map((hint) => `  ${hint}`));
  return lines.join("\n");
}

const lengthOf = ({ epochs, totalSteps, maxTime }: Plan): string =>
  maxTime === undefined ? `${totalSteps} in ${epochs} epochs` : `as many as ${duration(maxTime)} of training allow`;

const tapText = ({ plugin, stage }: TapInfo): string => (stage === "normal" ? plugin : `${plugin} (${stage})`);

/** Rows of blocks: the curve of positive numbers, the highest at the top. */
export function blockChart(values: readonly number[], width: number, rows = 5): string[] {
  const columns = Math.min(values.length, width - 4);
  const top = Math.max(...values, Number.MIN_VALUE);
  const heights = Array.from({ length: columns }, (_, column) => {
    const value = values[Math.round((column * (values.length - 1)) / Math.max(1, columns - 1))]!;
    return (value / top) * rows;
  });
  const blocks = " ▁▂▃▄▅▆▇█";
  return Array.from({ length: rows }, (_, row) => {
    const base = rows - 1 - row;
    const cells = heights.map((height) => blocks[Math.round(Math.min(1, Math.max(0, height - base)) * 8)]);
    return `  ${cells.join("")}`.trimEnd();
  });
}

/** Hooks in the printed loop; a test compares them with all hooks. */
export const shownHooks: ReadonlySet<HookName> = new Set(loopWith("").flatMap(([, , hook]) => (hook ? [hook] : [])));
