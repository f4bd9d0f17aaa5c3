import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../core/data/index.js";
import {
  type Batch,
  forward,
  loadBackend,
  type OpenNetwork,
  type Plugin,
  type Step,
  Trainer,
  type TrainerConfig,
} from "../../core/index.js";
import { resnet18 } from "../../core/models/index.js";
import { valueAndGradients } from "../../core/nn/backward.js";
import { fitWeights, microConfig, microNetworkFor, weightsHash } from "../../core/testing/index.js";
import { distilled, negativeEntropy, renormalised, softened } from "../../plugins/distill/index.js";
import { cutmix, distill, ema, gradientAccumulation, l2, progressiveResizing } from "../../plugins/index.js";
import { listCheckpoints } from "../../run/checkpoints.js";
import { openRun } from "../../run/open.js";
import { train } from "../../run/train.js";
import { openTrainedNetwork } from "../../run/trained-network.js";
import { goldenJson } from "../golden/torch/read.js";

interface Case {
  name: string;
  alpha: number;
  temperature: number;
  student: number[][];
  teacher: number[][];
  targets: number[][];
  labels: number;
  loss: number;
  gradient: number[][];
}
const { cases } = goldenJson<{ cases: Case[] }>("distill.json");

const folder = mkdtempSync(join(tmpdir(), "fitloop-distill-"));
const teacherFolder = join(folder, "teacher");
const data = shapes({ classes: 4, size: 16, train: 40, test: 8 });
const small = (overrides: Partial<TrainerConfig> = {}): TrainerConfig =>
  microConfig({ data, model: resnet18({ width: 2, stem: "cifar" }), epochs: 2, ...overrides });

beforeAll(async () => {
  await loadBackend();
  await train(
    small({ name: "teacher", model: resnet18({ width: 4, stem: "cifar" }), plugins: [ema({ decay: 0.5 })], seed: 3 }),
    {
      folder: teacherFolder,
    },
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the loss", () => {
  it.each(cases)("is torch's: $name", ({ alpha, temperature, student, teacher, targets, loss, gradient, labels }) => {
    tf.tidy(() => {
      const z = tf.tensor2d(student);
      const p = softened(tf.tensor2d(teacher), temperature);
      const soft = { targets: p, entropy: negativeEntropy(p) };
      const { value, gradients } = valueAndGradients(() => {
        const logP = tf.logSoftmax(z);
        const crossEntropy = tf.neg(tf.div(tf.sum(tf.mul(logP, tf.tensor2d(targets))), student.length));
        expect(crossEntropy.dataSync()[0]).toBeCloseTo(labels, 4);
        return distilled(crossEntropy, z, soft, { alpha, temperature });
      }, [z]);
      expect(Math.abs(value.dataSync()[0]! - loss)).toBeLessThan(1e-5 * (1 + loss));
      const found = gradients[0]!.dataSync();
      gradient.flat().forEach((wanted, place) => expect(found[place]).toBeCloseTo(wanted, 5));
    });
  });

  it("is finite for a teacher whose probability is 0", () => {
    const [entropy] = tf.tidy(() => negativeEntropy(tf.tensor2d([[1, 0, 0]])).dataSync());
    expect(entropy).toBe(0);
  });
});

it("gives a teacher images as its own run normalised them", () => {
  tf.tidy(() => {
    const [from, to] = [
      { mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.25, 0.3] },
      { mean: [0.4, 0.4, 0.1], deviation: [0.1, 0.3, 0.3] },
    ];
    const bytes = [0.7, 0.2, 0.9];
    const under = ({ mean, deviation }: typeof from): tf.Tensor4D =>
      tf.tensor4d(
        bytes.map((value, channel) => (value - mean[channel]!) / deviation[channel]!),
        [1, 1, 1, 3],
      );
    const images = under(from);
    renormalised(images, from, to)
      .dataSync()
      .forEach((value, channel) => {
        expect(value).toBeCloseTo(under(to).dataSync()[channel]!, 5);
      });
    expect(renormalised(images, from, { ...from })).toBe(images);
  });
});

/** What the plugin hands to the loss in each step, with what the network saw. */
function watching(seen: { images: tf.Tensor4D; targets: tf.Tensor }[]): Plugin {
  return {
    name: "watching",
    options: {},
    apply({ hooks }) {
      hooks.afterLoss.tap({ stage: "late" }, (loss, { batch }: Step) => {
        const { images, more } = batch as Batch;
        seen.push({ images: tf.keep(images.clone()), targets: tf.keep(more!["distill/targets"]!.clone()) });
        return loss;
      });
    },
  };
}

describe("a teacher", () => {
  it("answers to the very images of the step, mixed, as its run's evaluation does", async () => {
    const seen: { images: tf.Tensor4D; targets: tf.Tensor }[] = [];
    const plugins = [distill({ teacher: teacherFolder, temperature: 1 }), cutmix({ probability: 1 }), watching(seen)];
    const { dispose } = await new Trainer(small({ plugins, maxSteps: 2 })).fit({ openNetwork: openTrainedNetwork });
    dispose();
    const { model, weights } = await openTrainedNetwork(teacherFolder, { weights: "final", precision: "float32" });
    expect(seen).toHaveLength(2);
    for (const { images, targets } of seen) {
      const wanted = tf.tidy(() => tf.softmax(forward(model.layer, images, { weights })).dataSync());
      expect([...targets.dataSync()]).toEqual([...wanted]);
      tf.dispose([images, targets]);
    }
    for (const value of weights.values()) value.dispose();
  });

  it("gets images of its own size where the student's grow", async () => {
    const plugins = [distill({ teacher: teacherFolder }), progressiveResizing({ from: 0.5, fullFor: 0.5 })];
    const { summary, dispose } = await new Trainer(small({ plugins })).fit({ openNetwork: openTrainedNetwork });
    dispose();
    expect(summary.stopReason).toBe("epochs");
  });

  it("is the run's final, best, last or averaged network", async () => {
    const open = (weights: "final" | "best" | "last" | "ema") =>
      openTrainedNetwork(teacherFolder, { weights, precision: "float32" });
    const all = {
      final: await open("final"),
      best: await open("best"),
      last: await open("last"),
      ema: await open("ema"),
    };
    const hash = (which: keyof typeof all): string => weightsHash(all[which].weights);
    expect(hash("ema")).toBe(hash("final")); // the run ended with its averages
    expect(hash("last")).not.toBe(hash("final"));
    expect(all.best.source).toMatch(/^best of epoch \d$/);
    expect(new Set(Object.values(all).map(({ sha256 }) => sha256)).size).toBe(4);
    const run = await openRun(teacherFolder);
    expect(weightsHash(run.weights)).toBe(hash("final"));
    run.dispose();
    for (const { weights } of Object.values(all)) for (const value of weights.values()) value.dispose();
  });

  it("changes what is learned, and labels alone do not", async () => {
    const hash = async (plugins: TrainerConfig["plugins"]): Promise<string> =>
      (await fitWeights(microConfig({ plugins }))).hash;
    const plain = await hash([]);
    expect(await hash([distill({ teacher: "t" })])).not.toBe(plain);
    expect(await hash([distill({ teacher: "t", alpha: 0 })])).toBe(plain);
  });

  it("leaves a penalty that another plugin adds its weight, and works with accumulated gradients", async () => {
    const plugins = [distill({ teacher: "t", alpha: 1 }), l2({ decay: 0.01 }), gradientAccumulation({ factor: 2 })];
    const { summary } = await fitWeights(microConfig({ plugins, batchSize: 4 }));
    expect(summary.steps).toBe(6);
  });
});

describe("a teacher that does not fit", () => {
  const refused = async (
    overrides: Partial<TrainerConfig>,
    options: { openNetwork?: OpenNetwork } = {},
  ): Promise<string> => {
    const config = small({ plugins: [distill({ teacher: teacherFolder })], ...overrides });
    const fit = new Trainer(config).fit({ openNetwork: openTrainedNetwork, ...options });
    return fit.then(
      () => "trained",
      ({ code, message }) => `${code}: ${message}`,
    );
  };

  it("has other classes, another order of them, or another image size", async () => {
    expect(await refused({ data: shapes({ classes: 5, size: 16, train: 40, test: 8 }) })).toMatch(
      /ERR_DATA: .*teacher .* does not fit this run: expected 5 classes, got 4/,
    );
    const turned: OpenNetwork = async (...args) => {
      const network = await microNetworkFor(small())(...args);
      return { ...network, classes: [...network.classes].reverse() };
    };
    expect(await refused({}, { openNetwork: turned })).toMatch(/expected "\w+" as class 1, got "\w+"/);
    expect(await refused({ inputSize: 24 })).toMatch(/expected a network for images of 24 px, got one for 16 px/);
  });

  it("is no run, or has no such weights", async () => {
    const nothing = distill({ teacher: join(folder, "none") });
    expect(await refused({ plugins: [nothing] })).toMatch(/ERR_DATA: .*none is not a run/);
    const student = join(folder, "without-ema");
    await train(small({ epochs: 1 }), { folder: student });
    const averages = distill({ teacher: student, weights: "ema" });
    expect(await refused({ plugins: [averages] })).toMatch(
      /has no "ema" weights: it was trained without the plugin "ema"/,
    );
    expect(await refused({}, { openNetwork: undefined })).toMatch(/ERR_PLUGIN: .*A Trainer alone opens no run/);
  });
});

describe("a run with a teacher", () => {
  it("resumes to the same bits, and refuses another teacher", async () => {
    const config = small({ name: "student", plugins: [distill({ teacher: teacherFolder })] });
    const whole = await train(config, { folder: join(folder, "whole") });
    const parts = join(folder, "parts");
    const stop = new AbortController();
    const pause: Plugin = {
      name: "pause",
      options: {},
      observer: true,
      apply: ({ hooks }) => hooks.onStep.tap(({ step }) => void (step === 2 && stop.abort("paused"))),
    };
    (await train(config, { folder: parts, signal: stop.signal, observers: [pause] })).dispose();
    expect(listCheckpoints(join(parts, "checkpoints"))).not.toHaveLength(0);

    const other = join(folder, "other");
    await train(small({ model: resnet18({ width: 4, stem: "cifar" }), seed: 4 }), { folder: other });
    const swapped = { ...config, plugins: [distill({ teacher: other })] };
    await expect(train(swapped, { folder: parts, resume: true })).rejects.toMatchObject({
      code: "ERR_RESUME",
      message: expect.stringContaining("has other weights than when this run began") as string,
    });

    const rest = await train(config, { folder: parts, resume: true });
    expect(weightsHash(rest.weights)).toBe(weightsHash(whole.weights));
    rest.dispose();
    whole.dispose();
  });

  it("is opened without its teacher", async () => {
    const student = join(folder, "alone");
    const teacher = join(folder, "gone");
    await train(small({ epochs: 1 }), { folder: teacher });
    (await train(small({ epochs: 1, plugins: [distill({ teacher })] }), { folder: student })).dispose();
    rmSync(teacher, { recursive: true });
    const run = await openRun(student);
    expect(await run.predict({ pixels: new Uint8Array(16 * 16 * 3), height: 16, width: 16 })).toHaveLength(4);
    run.dispose();
  });
});
