/** A4: numbers that mean nothing. Batch norm over one value, and an evaluation that is not finite. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { loadBackend, type Plugin, Trainer, type TrainerConfig } from "../../../core/index.js";
import { resnet18 } from "../../../core/models/index.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";
import { earlyStopping } from "../../../plugins/index.js";

beforeAll(async () => void (await loadBackend()));

/** A network whose last stage is 1 × 1 at 8 pixels. */
const narrow = (train: number, more: Partial<TrainerConfig> = {}): TrainerConfig =>
  microConfig({
    data: shapes({ classes: 4, size: 8, train, test: 8 }),
    model: resnet18({ width: 2, stem: "cifar" }),
    holdout: 0,
    epochs: 1,
    ...more,
  });

describe("batch norm over one value", () => {
  it("is an error where every batch is one image, which names the norm and what to do", async () => {
    await expect(new Trainer(narrow(16, { batchSize: 1 })).fit()).rejects.toMatchObject({
      code: "ERR_OPTION",
      message: expect.stringMatching(
        /^Batch norm "layer4\..*" sees one value per channel.*Raise batchSize or inputSize/,
      ),
    });
  });

  it("leaves the last batch out where that is one image, and says so", async () => {
    const warnings: string[] = [];
    const seen: number[] = [];
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply: ({ hooks }) => hooks.beforeBatch.tap((batch) => (seen.push(batch.images.shape[0]), batch)),
    };
    const { summary } = await fitWeights(narrow(17, { plugins: [watch] }), {
      before: ({ events }) => events.on("warning", ({ message }) => void warnings.push(message)),
    });
    expect(seen).toEqual([8, 8]);
    expect(summary).toMatchObject({ steps: 2, epochs: 1 });
    expect(warnings).toEqual([expect.stringContaining("The last batch of an epoch is one image")]);
  });

  it("is no matter where the maps are larger, or the last batch is", async () => {
    const large = narrow(17, { data: shapes({ classes: 4, size: 16, train: 17, test: 8 }) });
    expect((await fitWeights(large)).summary.steps).toBe(3);
    expect((await fitWeights(narrow(18))).summary.steps).toBe(3);
    expect((await fitWeights(microConfig({ batchSize: 1, epochs: 1 }))).summary.steps).toBe(14);
  });
});

describe("an evaluation that is not finite", () => {
  const spoiled = (purpose: "validation" | "final"): Plugin => ({
    name: "spoiled",
    options: {},
    apply({ hooks }) {
      const nothing = tf.keep(tf.fill([4], Number.NaN));
      hooks.beforeEvaluate.tap((evaluation) =>
        evaluation.purpose === purpose
          ? { ...evaluation, source: "spoiled", weights: new Map(evaluation.weights).set("fc.bias", nothing) }
          : evaluation,
      );
      return { dispose: () => nothing.dispose() };
    },
  });

  it("is no good end", async () => {
    const trainer = new Trainer(microConfig({ plugins: [spoiled("final")] }));
    const ended = vi.fn();
    trainer.events.on("fit:end", ended);
    trainer.events.on("warning", () => undefined);
    await expect(trainer.fit()).rejects.toMatchObject({ code: "ERR_DIVERGED", exitCode: 76 });
    expect(ended.mock.lastCall![0].stopReason).toMatch(/^failed: The validation loss at the end is NaN/);
  });

  it("is never the best, and counts against the patience of early stopping", async () => {
    const plugins = [spoiled("validation"), earlyStopping({ patience: 2 })];
    const { summary } = await fitWeights(microConfig({ epochs: 9, plugins }), {
      before: ({ events }) => events.on("warning", () => undefined),
    });
    expect(summary).toMatchObject({ epochs: 2, validation: { source: "current" } });
  });
});

it("a warning reaches standard error where nobody listens", async () => {
  const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
  try {
    const trainer = new Trainer(microConfig());
    trainer.events.emit("warning", { message: "look" });
    expect(error).toHaveBeenCalledExactlyOnceWith("warning: look");
    trainer.events.on("warning", () => undefined);
    trainer.events.emit("warning", { message: "again" });
    expect(error).toHaveBeenCalledTimes(1);
  } finally {
    error.mockRestore();
  }
});
