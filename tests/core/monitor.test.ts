/** The best epoch: which figure it goes by, which way, and who follows it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  defineConfig,
  improves,
  loadBackend,
  type Metric,
  metrics,
  monitored,
  monitorOf,
  type Plugin,
  Trainer,
} from "../../core/index.js";
import { epochEnd, fitWeights, microConfig } from "../../core/testing/index.js";
import { earlyStopping } from "../../plugins/early-stopping/index.js";
import { train } from "../../run/index.js";

beforeAll(async () => void (await loadBackend()));
const base = mkdtempSync(join(tmpdir(), "fitloop-monitor-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** A metric of one's own, of which less is better. */
const errorRate: Metric = { name: "error-rate", options: {}, better: "lower", compute: () => 0.5 };

describe("a monitor", () => {
  it.each([
    ["loss", "lower"],
    ["top1", "higher"],
    ["train-loss", "lower"],
    ["macro-recall", "higher"],
    ["error-rate", "lower"],
  ] as const)("%s: %s is better", (metric, direction) => {
    const known = [metrics.macroRecall(), errorRate] as Metric[];
    expect(monitorOf(metric, known)).toEqual({ metric, direction });
    expect(monitorOf({ metric, direction: "higher" }, known).direction).toBe("higher");
  });

  it("of a metric that the run does not have is refused, with what it has", () => {
    expect(() => defineConfig(microConfig({ monitor: "eror-rate", metrics: [errorRate] }))).toThrow(
      /monitor watches "eror-rate", which no evaluation has \(did you mean "error-rate"\?\)\. Add it to the config's metrics, or watch another/,
    );
    expect(() => new Trainer(microConfig({ plugins: [earlyStopping({ metric: "f1" })] }))).toThrow(
      /early-stopping watches "f1", which no evaluation has/,
    );
  });

  it("takes the training loss of whole epochs alone, also where steps were left out", () => {
    const left = epochEnd(3, undefined, { step: 70, train: { loss: 0.7, top1: 0.5 } }); // of 80
    expect(monitored(left, "train-loss")).toBe(0.7);
    expect(monitored({ ...left, whole: false }, "train-loss")).toBeUndefined();
    expect(monitored(left, "loss")).toBeUndefined();
    expect(monitored(epochEnd(3, { loss: 0.4 }, { whole: false }), "loss")).toBe(0.4);
    expect(monitored(epochEnd(3, { more: { "error-rate": 0.25 } }), "error-rate")).toBe(0.25);
  });

  it("never takes an equal value, nothing, NaN or infinity for better", () => {
    const odd = [undefined, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const direction of ["lower", "higher"] as const) {
      expect(odd.map((each) => improves(each, undefined, direction))).toEqual([false, false, false, false]);
      expect(odd.map((each) => improves(each, 2, direction))).toEqual([false, false, false, false]);
    }
    expect([undefined, Number.NaN, Number.POSITIVE_INFINITY, 2, 3].map((each) => improves(each, 2, "lower"))).toEqual(
      new Array(5).fill(false),
    );
    expect(improves(1.9, 2, "lower")).toBe(true);
    expect(improves(1.9, 2, "lower", 0.2)).toBe(false);
    expect(improves(-5, undefined, "higher")).toBe(true);
  });

  it("of validation needs validation images", async () => {
    await expect(fitWeights(microConfig({ holdout: 0, monitor: "top1" }))).rejects.toThrow(
      /monitor watches the validation top-1, and the run has no validation images\. Set holdout above 0/,
    );
  });
});

/** Gives each epoch the next of these values as `error-rate`, and its number from 10 down as the loss. */
const script = (rates: readonly number[]): Plugin => ({
  name: "script",
  options: {},
  apply({ hooks }) {
    hooks.afterEvaluate.tap((found, { epoch }) => ({
      ...found,
      loss: 10 - epoch,
      more: { ...found.more, "error-rate": rates[epoch] ?? 9 },
    }));
  },
});

describe("a run with a monitor", () => {
  const rates = [0.5, 0.2, 0.4, 0.3, 0.3];
  const config = microConfig({ epochs: 5, metrics: [errorRate], monitor: "error-rate", plugins: [script(rates)] });

  it("keeps the best epoch's checkpoint and names it in summary.json", async () => {
    const folder = join(base, "kept");
    const run = await train(config, { folder, checkpointEvery: 10_000 });
    run.dispose();
    const best = { metric: "error-rate", direction: "lower", value: 0.2, epoch: 1, step: run.summary.steps * (2 / 5) };
    expect(JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")).best).toEqual(best);
    const steps = readdirSync(join(folder, "checkpoints")).map((name) => Number(/^step-(\d+)/.exec(name)![1]));
    expect(steps).toHaveLength(3); // the last two, and the best
    expect(steps).toContain(best.step);
    expect(JSON.parse(readFileSync(join(folder, "config.resolved.json"), "utf8")).monitor).toEqual({
      metric: "error-rate",
      direction: "lower",
    });
  });

  it("remembers the best across a stop and a resume", async () => {
    const folder = join(base, "resumed");
    const stop = new AbortController();
    const first = await train(config, {
      folder,
      signal: stop.signal,
      watch: (events) => events.on("epoch:start", ({ epoch }) => epoch === 3 && stop.abort("enough")),
    });
    first.dispose();
    const second = await train(config, { folder, resume: true });
    second.dispose();
    expect(second.summary).toMatchObject({ stopReason: "epochs", best: { epoch: 1, value: 0.2 } });
  });

  it("ends early by it, and with the weights of its best epoch", async () => {
    const { summary } = await fitWeights({ ...config, plugins: [script(rates), earlyStopping({ patience: 2 })] });
    expect(summary).toMatchObject({
      epochs: 4,
      stopReason: "early stopping: error-rate did not improve in 2 evaluations",
      best: { epoch: 1 },
    });
    expect(summary.validation?.source).toBe("best of epoch 2");
  });

  it("watches the validation loss if nothing is said", async () => {
    const { summary } = await fitWeights({ ...config, monitor: undefined });
    expect(summary.best).toMatchObject({ metric: "loss", direction: "lower", value: 6, epoch: 4 });
  });
});
