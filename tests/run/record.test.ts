/** What a run keeps: enough to read it, to evaluate it again, and nothing of a run that never was. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { system } from "../../core/files.js";
import { loadBackend, type Plugin, Trainer, type TrainerConfig, weightsFromSafetensors } from "../../core/index.js";
import type { OnResumePoint } from "../../core/loop/recovery.js";
import { makePart } from "../../core/parts.js";
import { fitWeights, microConfig, weightsHash } from "../../core/testing/index.js";
import { ema } from "../../plugins/index.js";
import { createRunFolder } from "../../run/folder.js";
import { type MetricsLine, readMetrics } from "../../run/metrics.js";
import { readPreprocessing } from "../../run/preprocessing.js";
import { createRunRecord, type RunRecordOptions } from "../../run/record.js";

let loaded: Awaited<ReturnType<typeof loadBackend>>;
beforeAll(async () => void (loaded = await loadBackend()));
const base = mkdtempSync(join(tmpdir(), "fitloop-record-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let folder: string;
let count = 0;
beforeEach(() => {
  folder = createRunFolder({ out: join(base, String(count++)), name: "micro" }).path;
  return () => vi.restoreAllMocks();
});

const trainer = (config: Partial<TrainerConfig> = {}, options: RunRecordOptions = {}): Trainer =>
  new Trainer(microConfig(config), [createRunRecord(options).plugin]);
const fit = (config?: Partial<TrainerConfig>, options?: RunRecordOptions) => trainer(config, options).fit({ folder });
const read = (name: string): string => readFileSync(join(folder, name), "utf8");
const lines = (): MetricsLine[] => {
  const { lines, problem } = readMetrics(join(folder, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  return lines;
};
const failing = (hook: "onFitStart" | "onStep" | "beforeBatch"): Plugin => ({
  name: "failing",
  options: {},
  apply({ hooks }) {
    const { tap } = hooks[hook] as { tap(handler: () => never): void };
    tap(() => {
      throw new Error("as told");
    });
  },
});

describe("a finished run", () => {
  it("keeps its config, every step and epoch, its weights and its summary", async () => {
    const { summary } = await fit({ seed: 5 });
    expect(readdirSync(folder).sort()).toEqual([
      "config.resolved.json",
      "metrics.jsonl",
      "summary.json",
      "weights.safetensors",
    ]);
    expect(JSON.parse(read("config.resolved.json"))).toMatchObject({
      name: "micro",
      seed: 5,
      plugins: [],
      batchSize: 8,
      environment: {
        processor: cpus()[0]?.model.trim() || undefined,
        fitloop: expect.stringMatching(/^\d+\.\d+\.\d+/),
      },
    });
    const kept = JSON.parse(read("summary.json"));
    for (const key of [
      "preset",
      "seed",
      "backend",
      "precision",
      "threads",
      "parameters",
      "epochs",
      "steps",
      "seconds",
      "imagesPerSecond",
      "stopReason",
    ]) {
      expect(kept, key).toHaveProperty(key);
    }
    for (const split of ["validation", "test"] as const) {
      for (const figure of ["top1", "top5", "loss"] as const) expect(kept[split][figure]).toBe(summary[split]![figure]);
    }
    expect(kept).toMatchObject({ preset: "micro", seed: 5, epochs: 3, steps: 6, stopReason: "epochs" });
    expect(lines().map(({ event }) => event)).toEqual([1, 2, 3].flatMap(() => ["step", "step", "epoch:end"]));
    expect(lines().at(-1)).toMatchObject({ epoch: 2, validation: { top1: summary.validation!.top1 } });
  });

  it("has one line of JSON for each, every so many steps", async () => {
    await fit({}, { logEvery: 4 });
    expect(
      lines()
        .filter(({ event }) => event === "step")
        .map(({ step }) => step),
    ).toEqual([4]);
    expect(lines().filter(({ event }) => event === "epoch:end")).toHaveLength(3);
  });

  it("changes no bit of the weights by being kept", async () => {
    const plain = await fitWeights(microConfig());
    const config = microConfig();
    const hash = await hashOfKept(config);
    expect(hash).toBe(plain.hash);
  });

  it("keeps the weights that were evaluated at the end, and how images reach them", async () => {
    const hash = await hashOfKept(microConfig());
    rmSync(folder, { recursive: true });
    createRunFolder({ out: folder, name: "micro" });
    expect(await hashOfKept(microConfig({ plugins: [ema({ decay: 0.5 })] }))).not.toBe(hash);
    const preprocessing = readPreprocessing(readFileSync(join(folder, "weights.safetensors")), "weights");
    expect(preprocessing).toMatchObject({ height: 8, width: 8, inputSize: 8 });
    expect(preprocessing.classes).toHaveLength(4);
    expect(preprocessing.mean).toHaveLength(3);
  });

  async function hashOfKept(config: TrainerConfig): Promise<string> {
    const running = new Trainer(config, [createRunRecord().plugin]);
    await running.fit({ folder });
    const { classes } = readPreprocessing(readFileSync(join(folder, "weights.safetensors")), "weights");
    const { buildBlock, buildHead } = new Trainer(config).hooks.call;
    const { layer } = makePart(config.model).build({ inputSize: 32, classes: classes.length, buildBlock, buildHead });
    const weights = weightsFromSafetensors(readFileSync(join(folder, "weights.safetensors")), layer);
    const hash = weightsHash(weights);
    tf.dispose([...weights.values()]);
    return hash;
  }
});

it("is a run that can be gone on with before any plugin has written something", async () => {
  let found: string[] | undefined;
  const writer: Plugin = {
    name: "writer",
    options: {},
    apply: ({ hooks }) => hooks.onFitStart.tap(() => void (found = readdirSync(folder))),
  };
  await fit({ plugins: [writer] });
  expect(found).toEqual(["config.resolved.json"]);
});

it("says what was wrong with metrics that it goes on with, there too", async () => {
  writeFileSync(join(folder, "metrics.jsonl"), '{"event":"step","st');
  const running = trainer();
  const warnings: string[] = [];
  running.events.on("warning", ({ message }) => warnings.push(message));
  await running.fit({ folder });
  expect(warnings).toEqual([`${join(folder, "metrics.jsonl")}: line 1 breaks off after 19 bytes.`]);
  expect(lines()[0]).toEqual({ event: "warning", message: warnings[0] });
});

describe("a run that ends early", () => {
  it("keeps its last weights and says that it was interrupted", async () => {
    const controller = new AbortController();
    const running = trainer();
    running.events.on("step", ({ step }) => step === 3 && controller.abort("SIGINT"));
    await running.fit({ folder, signal: controller.signal });
    expect(JSON.parse(read("summary.json"))).toMatchObject({ steps: 3, stopReason: "interrupted (SIGINT)" });
    expect(existsSync(join(folder, "weights.safetensors"))).toBe(true);
  });

  it("keeps what it has after a failure", async () => {
    let calls = 0;
    const late: Plugin = {
      name: "late",
      options: {},
      apply: ({ hooks }) =>
        hooks.onStep.tap(() => {
          if (++calls === 4) throw new Error("as told");
        }),
    };
    await expect(fit({ plugins: [late] })).rejects.toThrow(/"late" failed in hook "onStep": as told/);
    expect(JSON.parse(read("summary.json")).stopReason).toMatch(/^failed: .*as told/);
    expect(existsSync(join(folder, "weights.safetensors"))).toBe(true);
  });

  it.each(["onFitStart", "beforeBatch"] as const)("keeps nothing where the first step never came: %s", async (hook) => {
    await expect(fit({ plugins: [failing(hook)] })).rejects.toThrow(/as told/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("says NaN in words", async () => {
    const nan: Plugin = {
      name: "nan",
      options: {},
      apply: ({ hooks }) => hooks.afterEvaluate.tap((metrics) => ({ ...metrics, loss: Number.NaN })),
    };
    await expect(fit({ plugins: [nan] })).rejects.toMatchObject({ code: "ERR_DIVERGED" });
    const ends = lines().filter(({ event }) => event === "epoch:end");
    expect(ends.at(-1)).toMatchObject({ validation: { loss: "NaN" } });
    expect(JSON.parse(read("summary.json")).validation.loss).toBe("NaN");
  });
});

describe("a disk that fails", () => {
  const refuse = (code: string): never => {
    throw Object.assign(new Error(`${code}: it would not`), { code });
  };

  it("in the metrics ends the run with their path, at the next step", async () => {
    let writes = 0;
    const { writeSync } = system;
    vi.spyOn(system, "writeSync").mockImplementation(((...args: Parameters<typeof writeSync>) =>
      ++writes > 2 ? refuse("ENOSPC") : writeSync(...args)) as typeof writeSync);
    await expect(fit()).rejects.toMatchObject({
      code: "ERR_IO",
      exitCode: 74,
      message: expect.stringMatching(/metrics\.jsonl failed: the disk is full/),
    });
  });

  it("in the metrics keeps no place of which a line is missing", async () => {
    const record = createRunRecord();
    const { writeSync } = system;
    let broken = false;
    vi.spyOn(system, "writeSync").mockImplementation(((...args: Parameters<typeof writeSync>) => {
      if (broken || !String(args[1]).includes('"step":2,')) return writeSync(...args);
      broken = true; // once: there would be room for the lines after it
      return refuse("ENOSPC");
    }) as typeof writeSync);
    const kept: number[] = [];
    const warned = vi.fn();
    const run = new Trainer(microConfig(), [record.plugin]);
    run.events.on("warning", warned);
    const onResumePoint: OnResumePoint = ({ position }) => {
      record.metrics.sync();
      kept.push(position.step);
    };
    await expect(run.fit({ folder, onResumePoint })).rejects.toThrow(/metrics\.jsonl failed: the disk is full/);
    expect(broken).toBe(true);
    expect(Math.max(...kept)).toBe(1);
    expect(lines().flatMap(({ event, step }) => (event === "step" ? [step] : []))).toEqual([1]);
    expect(warned, "it is said once, as what ended the run").not.toHaveBeenCalled();
  });

  it("in the summary is an I/O failure", async () => {
    const { renameSync } = system;
    vi.spyOn(system, "renameSync").mockImplementation((from, to) =>
      String(to).endsWith("summary.json") ? refuse("EIO") : renameSync(from, to),
    );
    await expect(fit()).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/summary\.json failed: EIO/),
    });
    expect(readdirSync(folder).filter((name) => name.startsWith(".tmp"))).toEqual([]);
  });

  it("at the start leaves no step done", async () => {
    const { openSync } = system;
    vi.spyOn(system, "openSync").mockImplementation(((...args: Parameters<typeof openSync>) =>
      String(args[0]).endsWith("metrics.jsonl") ? refuse("EROFS") : openSync(...args)) as typeof openSync);
    await expect(fit()).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/metrics\.jsonl failed: EROFS/),
    });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a run that goes on", () => {
  /** Trains, then goes on from the first step of it in surroundings that were others, and tells what was warned of. */
  async function goneOn(environment: object | undefined, allowed: string[] = []): Promise<string[]> {
    await fit();
    const record = JSON.parse(read("config.resolved.json"));
    const was = environment && { ...record.environment, ...environment };
    const kept = createRunRecord();
    kept.resumes({
      record: { ...record, environment: was },
      metricsBytes: read("metrics.jsonl").indexOf("\n") + 1,
      allowed,
    });
    const again = new Trainer(microConfig(), [kept.plugin]);
    const warnings: string[] = [];
    again.events.on("warning", ({ message }) => warnings.push(message));
    await again.fit({ folder });
    return warnings;
  }
  const others = (list: string): string =>
    `The run resumes in another environment (${list}): the last bits may differ from an uninterrupted run's.`;

  it("keeps its metrics up to there, and has nothing to say where nothing has changed", async () => {
    expect(await goneOn({})).toEqual([]);
    expect(
      lines()
        .map(({ event, step }) => [event, step])
        .slice(0, 3),
    ).toEqual([
      ["step", 1],
      ["step", 1],
      ["step", 2],
    ]);
    expect(lines()).toHaveLength(1 + 9);
  });

  it("says which of its surroundings are others, and keeps that", async () => {
    const told = others(`threads 64 -> ${loaded.threads}, node 18.0.0 -> ${process.versions.node}`);
    expect(await goneOn({ threads: 64, node: "18.0.0" })).toEqual([told]);
    expect(lines()[1]).toEqual({ event: "warning", message: told });
    const { environment } = JSON.parse(read("config.resolved.json"));
    expect(environment).toMatchObject({ threads: loaded.threads, platform: `${process.platform} ${process.arch}` });
  });

  it.each([
    ["nothing", undefined],
    ["less", { processor: undefined, fitloop: undefined }],
  ])("compares with what was recorded: %s", async (_, environment) => {
    expect(await goneOn(environment)).toEqual([]);
  });

  it("is refused on another backend, as it was, and goes on there if that is allowed", async () => {
    await expect(goneOn({ backend: "abacus" })).rejects.toMatchObject({
      code: "ERR_RESUME",
      message: expect.stringMatching(
        /was made on abacus, and would now resume on tensorflow.* Make abacus available, or .*--allow-change backend/,
      ),
    });
    expect(lines()).toHaveLength(9);
    expect(existsSync(join(folder, "summary.json"))).toBe(true);
    expect(await goneOn({ backend: "abacus" }, ["backend"])).toEqual([others("backend abacus -> tensorflow")]);
  });
});

it("keeps where a run left the numbers", async () => {
  let batches = 0;
  const nan: Plugin = {
    name: "nan",
    options: {},
    apply: ({ hooks }) =>
      hooks.beforeBatch.tap((batch) =>
        ++batches < 4 ? batch : { ...batch, images: tf.mul(batch.images, Number.NaN) },
      ),
  };
  await expect(fit({ plugins: [nan] })).rejects.toMatchObject({ code: "ERR_DIVERGED" });
  expect(lines().filter(({ event }) => event === "diverged")).toMatchObject([{ step: 3 }]);
});

it("has no metrics of a run that has not begun", () => {
  const { metrics } = createRunRecord();
  expect(metrics.bytes).toBe(0);
  expect(() => (metrics.sync(), metrics.cut(0))).not.toThrow();
});

it("says of weights that no run wrote that they do not tell how images reach them", () => {
  const bare = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{}")]);
  expect(() => readPreprocessing(bare, "bare.safetensors")).toThrow(
    expect.objectContaining({
      code: "ERR_WEIGHTS",
      message: "bare.safetensors has no preprocessing of images. Expected weights that a run wrote.",
    }),
  );
});

it("does nothing for a run without a folder", async () => {
  const { summary } = await trainer().fit();
  expect(summary.steps).toBe(6);
  expect(readdirSync(folder)).toEqual([]);
});
