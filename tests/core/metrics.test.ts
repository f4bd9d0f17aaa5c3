/** Top-1 by one rule, and metrics against scikit-learn's. */
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, losses, type Metric, metrics } from "../../core/index.js";
import { figures } from "../../core/loop/evaluate.js";
import { countTop1, rankOf } from "../../core/metrics.js";
import { type Given, makePart } from "../../core/parts.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { earlyStopping, labelSmoothing } from "../../plugins/index.js";
import { goldenJson } from "../golden/torch/read.js";

beforeAll(async () => void (await loadBackend()));

it("a tie counts against the model, and so does what is not a number", () => {
  const rows = Float32Array.of(0.5, 0.5, 0, 0.2, 0.7, 0.1, Number.NaN, Number.NaN, Number.NaN, 1, Number.NaN, 0);
  expect([0, 1, 2, 3].map((row) => rankOf(rows, row, 3, row === 3 ? 0 : 1))).toEqual([1, 0, Infinity, 0]);
  expect(countTop1(rows, 3, Int32Array.of(0, 1, 0, 0))).toBe(2);
});

describe("metrics", () => {
  type Case = { name: string; classes: number; labels: number[]; predicted: number[] } & Record<string, number>;
  const { cases } = goldenJson<{ cases: Case[] }>("metrics.json");
  it.each(cases.map((each) => [each.name, each] as const))("are scikit-learn's: %s", (_, golden) => {
    const { classes, labels, predicted } = golden;
    const probabilities = new Float32Array(labels.length * classes);
    predicted.forEach((label, row) => (probabilities[row * classes + label] = 1));
    const outputs = { probabilities, labels: Int32Array.from(labels) };
    for (const part of Object.values(metrics)) {
      const { name, compute } = makePart(part());
      expect(compute(outputs, classes), name).toBeCloseTo(golden[name]!, 12);
    }
  });
});

const wrongShare: Metric = {
  name: "wrong-share",
  options: {},
  better: "lower",
  compute: ({ probabilities, labels }, classes) => 1 - countTop1(probabilities, classes, labels) / labels.length,
};
const all: Given<Metric>[] = [metrics.macroRecall(), metrics.balancedAccuracy(), metrics.f1(), wrongShare];

it("are in every evaluation of a run, and change no bit of it", async () => {
  const plain = await fitWeights(microConfig());
  const seen: (readonly string[])[] = [];
  const { hash, summary } = await fitWeights(microConfig({ metrics: all }), {
    before: ({ events }) => events.on("evaluate:end", ({ more }) => void seen.push(Object.keys(more ?? {}))),
  });
  expect(hash).toBe(plain.hash);
  expect(new Set(seen.map(String))).toEqual(new Set(["macro-recall,balanced-accuracy,f1,wrong-share"]));
  expect(summary.test!.more!["wrong-share"]).toBeCloseTo(1 - summary.test!.top1, 12);
});

describe("early stopping", () => {
  const fit = (options: object) =>
    fitWeights(microConfig({ epochs: 6, metrics: all, plugins: [earlyStopping({ patience: 1, ...options })] }));

  it("watches a metric by its name, with its direction", async () => {
    // A rate of nearly nothing: no metric ever improves after the first evaluation.
    const still = (options: object) =>
      fitWeights(
        microConfig({
          epochs: 6,
          learningRate: 1e-30,
          metrics: all,
          plugins: [earlyStopping({ patience: 2, ...options })],
        }),
      );
    const { summary } = await still({ metric: "wrong-share" });
    expect(summary.stopReason).toMatch(/^early stopping: wrong-share did not improve/);
    expect((await fit({ metric: "f1", direction: "lower" })).summary.stopReason).toMatch(/f1|epochs/);
  });

  it("refuses a metric that no evaluation has", async () => {
    await expect(fit({ metric: "f2" })).rejects.toMatchObject({
      code: "ERR_OPTION",
      message: expect.stringMatching(/early-stopping watches "f2", which no evaluation has \(did you mean "f1"\?\)/),
    });
  });
});

describe("a loss of the config", () => {
  it("trains and evaluates: the same bits as a graph, gamma 0 as cross entropy", async () => {
    const fit = (gamma: number, capture = true) =>
      fitWeights(microConfig({ capture, loss: losses.focal({ gamma }), plugins: [labelSmoothing()] }));
    const plain = await fitWeights(microConfig({ plugins: [labelSmoothing()] }));
    const focal = await fit(2);
    expect(focal.hash).toBe((await fit(2, false)).hash);
    expect(focal.hash).not.toBe(plain.hash);
    expect((await fit(0)).hash).toBe(plain.hash);
    expect(focal.summary.test!.loss).toBeLessThan(plain.summary.test!.loss); // (1 - p)^2 < 1
  });

  it("is evaluated on true labels as on a batch, over many images too", () => {
    const rows = 1500;
    const probabilities = Float32Array.from({ length: rows * 2 }, (_, at) => (at % 2 === 0 ? 0.75 : 0.25));
    const labels = new Int32Array(rows);
    const { loss, top1 } = figures({ probabilities, labels }, 2, makePart(losses.focal({ gamma: 2 })));
    expect(loss).toBeCloseTo(-(0.25 ** 2) * Math.log(0.75), 6);
    expect(top1).toBe(1);
  });
});
