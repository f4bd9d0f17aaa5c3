/**
 * Whole training steps against PyTorch's, from the same weights and batches: tests/golden/torch/resnet-trace.
 * The limits are those that every deliberately wrong variant in wrong-variants.json breaks, with room for float32.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { createCapture } from "../../../core/backend/graph/capture.js";
import { loadBackend } from "../../../core/backend/index.js";
import { resolveConfig } from "../../../core/config/config.js";
import { alone } from "../../../core/group/group.js";
import { createEvents } from "../../../core/loop/events.js";
import { createHooks } from "../../../core/loop/hook-set.js";
import { applyPlugins } from "../../../core/loop/plugin-instances.js";
import { defaultGroups } from "../../../core/loop/session.js";
import { initialState, type TrainState } from "../../../core/loop/state.js";
import { runStep } from "../../../core/loop/step.js";
import { modelByName } from "../../../core/models/index.js";
import { forward, namedParameters } from "../../../core/nn/layer.js";
import { losses } from "../../../core/nn/losses.js";
import type { Model } from "../../../core/nn/model.js";
import { adamw, sgd, updateRules } from "../../../core/nn/optimizers.js";
import { readSafetensors, toFloat32 } from "../../../core/nn/safetensors.js";
import { weightsFromSafetensors, weightsToSafetensors } from "../../../core/nn/weights-file.js";
import { makePart } from "../../../core/parts.js";
import { microConfig } from "../../../core/testing/index.js";
import { l2, labelSmoothing } from "../../../plugins/index.js";

const folder = join(import.meta.dirname, "../../golden/torch/resnet-trace");
const bytes = (name: string): Uint8Array => readFileSync(join(folder, name));

interface Trace {
  model: { depth: number; width: number; stem: string; classes: number };
  files: { initial: string; batches: string; first?: string; last: string };
  labelSmoothing: number;
  optimizer: { name: "sgd" | "adamw"; weightDecay: number } & Record<string, number | boolean | string>;
  learningRates: number[];
  losses: number[];
  evaluationLogits: number[][];
}

/** Relative difference by Euclidean norm. */
function relative(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let index = 0; index < theirs.length; index++) {
    difference += (ours[index]! - theirs[index]!) ** 2;
    size += theirs[index]! ** 2;
  }
  return Math.sqrt(difference / size);
}

/** The worst tensor of a state, apart from the running statistics, and of those. */
function worst(state: TrainState, model: Model, golden: string): { weights: number; statistics: number } {
  const ours = readSafetensors(weightsToSafetensors(state.weights, model.layer)).tensors;
  const result = { weights: 0, statistics: 0 };
  for (const [name, stored] of readSafetensors(bytes(golden)).tensors) {
    const kind = name.includes("running_") ? "statistics" : "weights";
    const difference = relative(toFloat32(ours.get(name)!)!, toFloat32(stored)!);
    result[kind] = Math.max(result[kind], difference);
  }
  return result;
}

describe.each(["tensorflow", "wasm"] as const)("on %s", (backend) => {
  beforeAll(async () => {
    await loadBackend({ name: backend });
  });

  test.each(["resnet18-sgd", "resnet18-adamw", "resnet50-sgd"])("%s follows PyTorch", (name) => {
    const trace: Trace = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
    const { depth, width, stem, classes } = trace.model;
    const coupled = trace.optimizer.name === "sgd";
    const { name: _, weightDecay, ...settings } = trace.optimizer;
    const optimizer = makePart(coupled ? sgd(settings) : adamw({ ...settings, weightDecay }));
    const plugins = [
      labelSmoothing({ smoothing: trace.labelSmoothing }),
      ...(coupled ? [l2({ decay: weightDecay })] : []),
    ];
    const hooks = createHooks({ seed: 1 });
    applyPlugins(resolveConfig(microConfig({ plugins, optimizer })), hooks, createEvents());
    const model = makePart(modelByName(`resnet${depth}`, { width, stem })).build({
      inputSize: 32,
      classes,
      buildBlock: (branch) => branch,
      buildHead: (head) => head,
    });
    const parameters = namedParameters(model.layer);
    const rules = updateRules(model, optimizer);
    const weights = weightsFromSafetensors(bytes(trace.files.initial), model.layer);
    const state = initialState(weights, rules);

    const capture = createCapture((message) => expect.fail(message));
    const batches = readSafetensors(bytes(trace.files.batches)).tensors;
    const images = batches.get("images")!;
    const labels = batches.get("labels")!;
    const [steps, size, height, imageWidth] = images.shape as [number, number, number, number];
    const perBatch = size * height * imageWidth * 3;
    for (let step = 0; step < steps; step++) {
      const context = {
        model,
        classes,
        height,
        width: imageWidth,
        inputSize: height,
        hooks: hooks.call,
        rules,
        loss: makePart(losses.crossEntropy()),
        learningRate: trace.learningRates[step]!,
        seed: 1,
        groups: defaultGroups(model, parameters),
        isPure: hooks.isPure,
        afterStepTaps: hooks.afterStepTaps(),
        afterLossTaps: hooks.afterLossTaps(),
        capture,
        group: alone,
        images: { split: { describe: String }, indices: [] },
      };
      const indices = Int32Array.from({ length: size }, (_, index) => index);
      const { loss } = runStep(
        context,
        state,
        {
          images: toFloat32(images)!.slice(step * perBatch, (step + 1) * perBatch),
          labels: Int32Array.from(labels.data as Int32Array).slice(step * size, (step + 1) * size),
          indices,
          size,
          whole: { indices, from: 0 },
          share: 1,
          epoch: 0,
          batchInEpoch: step,
          batchesInEpoch: steps,
        },
        { microBatch: step, progress: { epoch: 0, epochs: 1, step, stepsPerEpoch: steps, totalSteps: steps } },
      );
      expect(Math.abs(loss - trace.losses[step]!) / trace.losses[step]!, `loss of step ${step}`).toBeLessThan(5e-6);
      if (step === 0 && trace.files.first) {
        expect(worst(state, model, trace.files.first).weights).toBeLessThan(1e-5);
      }
    }
    const { weights: weightsOff, statistics } = worst(state, model, trace.files.last);
    expect(weightsOff, "weights").toBeLessThan(1.5e-5);
    expect(statistics, "running statistics").toBeLessThan(1e-5);

    const shown = batches.get("evaluationImages")!;
    const logits = tf.tidy(() =>
      Array.from(
        forward(model.layer, tf.tensor(toFloat32(shown)!, [...shown.shape]), { weights: state.weights }).dataSync(),
      ),
    );
    expect(relative(logits, trace.evaluationLogits.flat()), "evaluation logits").toBeLessThan(2e-5);
    for (const tensor of [...state.weights.values(), ...state.slots.values()]) tensor.dispose();
    capture.dispose();
    expect(tf.memory().numTensors).toBe(0);
  });
});
