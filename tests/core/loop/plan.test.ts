/** The plan of a run: figures that are right, and a loop that leaves no hook out. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { adamw, hookNames, loadBackend, losses, Trainer, type TrainerConfig } from "../../../core/index.js";
import { formatPlan, makePlan, type Plan, shownHooks } from "../../../core/loop/plan.js";
import { resnet18 } from "../../../core/models/index.js";
import { microConfig } from "../../../core/testing/index.js";
import {
  cosineRestarts,
  differentialLr,
  earlyStopping,
  ema,
  gradientAccumulation,
  labelSmoothing,
  oneCycle,
} from "../../../plugins/index.js";

beforeAll(async () => void (await loadBackend()));

const planOf = async (config: Partial<TrainerConfig> = {}): Promise<Plan> => {
  const trainer = new Trainer(microConfig(config));
  return makePlan(trainer, await trainer.prepare());
};

describe("a plan", () => {
  it("counts steps and micro-batches as the run will", async () => {
    const plan = await planOf();
    expect(plan).toMatchObject({
      stepsPerEpoch: 2,
      totalSteps: 6,
      microBatchesPerStep: 1,
      samples: { train: 14, validation: 4, test: 6 },
    });
    const accumulated = await planOf({ batchSize: 4, plugins: [gradientAccumulation({ factor: 2 })] });
    expect(accumulated).toMatchObject({
      stepsPerEpoch: 2,
      totalSteps: 6,
      microBatchesPerStep: 2,
      batchSize: 4,
    });
    const { summary } = await new Trainer(
      microConfig({ batchSize: 4, plugins: [gradientAccumulation({ factor: 2 })] }),
    ).fit();
    expect(summary.steps).toBe(accumulated.totalSteps);
  });

  it("names the loss of the config", async () => {
    expect(formatPlan(await planOf({ loss: losses.focal() }))).toContain("loss = focal(model(images), targets)");
  });

  it("counts parameters and multiply-adds: the published figures of ResNet-18 with a CIFAR stem", async () => {
    const plan = await planOf({ model: resnet18({ width: 64, stem: "cifar" }), inputSize: 32 });
    expect(plan.parameters).toBe(11_220_132 - 96 * 513); // 4 classes instead of 100
    expect(plan.multiplyAdds / 1e6).toBeCloseTo(555, -0.5);
  });

  it("sees the whole schedule: both ends, and the peak between", async () => {
    const { learningRate } = await planOf({
      learningRate: 1,
      epochs: 50,
      plugins: [oneCycle({ pctStart: 0.3, divFactor: 25 })],
    });
    const rates = learningRate.map(({ rate }) => rate);
    expect(learningRate[0]!.step).toBe(0);
    expect(rates[0]).toBeCloseTo(1 / 25, 12);
    expect(learningRate.at(-1)!.step).toBe(99);
    expect(Math.max(...rates)).toBeGreaterThan(0.98);
    expect(learningRate[rates.indexOf(Math.max(...rates))]!.step / 99).toBeCloseTo(0.3, 1);
  });

  it("grows with the batch, and leaves no tensor behind", async () => {
    const trainer = new Trainer(microConfig());
    const session = await trainer.prepare();
    const before = tf.memory().numTensors;
    const small = makePlan(trainer, session).memory;
    expect(tf.memory().numTensors).toBe(before);
    const { memory: large } = await planOf({ batchSize: 14 });
    expect(large.activations / small.activations).toBeCloseTo(14 / 8);
    expect(large.weights).toBe(small.weights);
    const { memory: half } = await planOf({ precision: "bfloat16" });
    expect(half.activations / small.activations).toBeCloseTo(0.5, 1);
  });

  it("changes no bit of the run that follows", async () => {
    const losses = async (planned: boolean): Promise<number[]> => {
      const trainer = new Trainer(microConfig({ plugins: [cosineRestarts({ firstCycle: 1 })] }));
      if (planned) makePlan(trainer, await trainer.prepare());
      const seen: number[] = [];
      trainer.events.on("step", ({ loss }) => seen.push(loss));
      await trainer.fit();
      return seen;
    };
    expect(await losses(true)).toEqual(await losses(false));
  });
});

describe("for people", () => {
  it("the loop has a place for every hook", () => {
    expect([...shownHooks].sort()).toEqual([...hookNames].sort());
  });

  it("shows every tap in its place and its order, with the hints", async () => {
    const text = formatPlan(
      await planOf({
        epochs: 20,
        plugins: [cosineRestarts(), earlyStopping({ patience: 3 }), ema(), labelSmoothing()],
      }),
    );
    expect(text).toMatch(/^ {4}each micro-batch +beforeBatch: label-smoothing/m);
    expect(text).toMatch(/^ {4}evaluate +beforeEvaluate: ema \(early\) → early-stopping \(last\)$/m);
    expect(text).toMatch(/^ {4}stop\? +shouldStop: early-stopping$/m);
    expect(text).toMatch(/\nhints\n(.*\n)? {2}early-stopping counts epochs only in the second half/);
    expect(text).toMatch(/, an estimate$/m);
  });

  it.each([40, 80, 200])("draws the rate inside %i columns, its highest point at the top", async (width) => {
    const lines = formatPlan(await planOf({ epochs: 60, plugins: [oneCycle()] }), width).split("\n");
    const at = lines.indexOf("learning rate") + 1;
    const chart = lines.slice(at, at + 5);
    for (const line of chart) expect(line.length).toBeLessThanOrEqual(width);
    expect(chart[0]).toContain("█");
    expect(chart.at(-1)!.trimEnd().length).toBeGreaterThan(Math.min(width, 61) - 10);
  });
});

describe("hints", () => {
  const hintsOf = async (config: Partial<TrainerConfig>): Promise<string> => (await planOf(config)).hints.join("\n");

  it("say nothing of a usual run", async () => {
    expect(await hintsOf({ learningRate: 0.05, batchSize: 64 })).toBe("");
  });

  it("say that batch norm sees micro-batches, where a step has several", async () => {
    const plugins = [gradientAccumulation({ factor: 2 })];
    const note = await hintsOf({ plugins, batchSize: 4, model: resnet18({ width: 8, stem: "cifar" }) });
    expect(note).toContain("A step is 2 micro-batches, and batch norm takes its statistics from the 4 images of each");
    const without = await hintsOf({ batchSize: 4, model: resnet18({ width: 8, stem: "cifar" }) });
    expect(without).not.toContain("batch norm");
  });

  it.each([
    [0.1, 128, undefined],
    [0.2, 128, undefined],
    [0.1, 512, "4 times lower than the linear-scaling rule's 0.4 for 512 images per step"],
    [1, 128, "10 times as high than"],
  ] as const)(
    "measure a rate of %d for %i images by the linear-scaling rule",
    async (learningRate, batchSize, text) => {
      const note = await hintsOf({ learningRate, batchSize });
      if (text === undefined) expect(note).not.toContain("linear-scaling");
      else expect(note).toContain(text.replace("as high than", "as high as"));
    },
  );

  it("take the rule for SGD alone", async () => {
    expect(await hintsOf({ learningRate: 1, optimizer: adamw() })).not.toContain("linear-scaling");
  });

  it("name rates that no step will reach", async () => {
    expect(await hintsOf({ maxSteps: 4 })).toContain("The run stops after step 4 of 6");
    expect(await hintsOf({ maxSteps: 6 })).not.toContain("The run stops");
  });

  it("name what never trains", async () => {
    const model = resnet18({ width: 8, stem: "cifar" });
    const frozen = await hintsOf({ model, plugins: [differentialLr({ freeze: 2 })] });
    expect(frozen).toContain("In no epoch of the run do these train, whatever their rate: conv1, bn1, layer1.");
    const thawing = { model, plugins: [differentialLr({ freeze: 2, unfreezeEvery: 1 })] };
    expect(await hintsOf({ ...thawing, epochs: 3 })).not.toContain("In no epoch");
    expect(await hintsOf({ ...thawing, epochs: 2 })).toContain(
      "In no epoch of the run do these train, whatever their rate: conv1, bn1.",
    );
  });
});
