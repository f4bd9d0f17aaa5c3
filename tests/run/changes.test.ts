/** R29: every field of a config is fixed, free or extendable, and a continuation keeps to it. */
import { beforeAll, describe, expect, it } from "vitest";
import { configSchema, resolveConfig } from "../../core/config/config.js";
import { shapes } from "../../core/data/index.js";
import {
  adamw,
  type ConfigRecord,
  configRecord,
  loadBackend,
  losses,
  makePart,
  metrics,
  type TrainerConfig,
} from "../../core/index.js";
import { fitWeights, microConfig, microNet } from "../../core/testing/index.js";
import { dataParallel, ema, labelSmoothing } from "../../plugins/index.js";
import { type ConfigField, configHash, fieldClasses, forbiddenChanges, mustBeContinuable } from "../../run/changes.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../run/checkpoints.js";

const whole: TrainerConfig = microConfig({
  inputSize: 8,
  backend: "tensorflow",
  maxSteps: 10,
  limitTrain: 16,
  limitTest: 4,
  plugins: [labelSmoothing(), ema()],
});
const recordOf = (overrides: Partial<TrainerConfig> = {}): ConfigRecord =>
  JSON.parse(JSON.stringify(configRecord(resolveConfig({ ...whole, ...overrides })))) as ConfigRecord;

/** Each field with another value. */
const others: Record<ConfigField, Partial<TrainerConfig>> = {
  name: { name: "another" },
  data: { data: shapes({ classes: 4, size: 8, train: 19, test: 6 }) },
  model: { model: { ...makePart(microNet()), name: "another" } },
  optimizer: { optimizer: adamw() },
  loss: { loss: losses.focal() },
  metrics: { metrics: [metrics.f1()] },
  monitor: { monitor: "top1" },
  learningRate: { learningRate: 0.06 },
  epochs: { epochs: 2 },
  maxTime: { maxTime: "30s" },
  batchSize: { batchSize: 4 },
  inputSize: { inputSize: 12 },
  holdout: { holdout: 0.3 },
  seed: { seed: 2 },
  plugins: { plugins: [labelSmoothing({ smoothing: 0.2 }), ema()] },
  backend: { backend: "wasm" },
  evaluateEvery: { evaluateEvery: 2 },
  onDivergence: { onDivergence: { skip: 2 } },
  hookTimeout: { hookTimeout: 60 },
  precision: { precision: "bfloat16" },
  capture: { capture: false },
  maxSteps: { maxSteps: 12 },
  limitTrain: { limitTrain: 17 },
  limitTest: { limitTest: 5 },
};

/** What a field's run has beside `whole`: one of a given time has no other end. */
const around: Partial<Record<ConfigField, Partial<TrainerConfig>>> = {
  maxTime: { epochs: undefined, maxSteps: undefined, maxTime: "60s" },
};

it("every field of the config has its class", () => {
  expect(Object.keys(fieldClasses).sort()).toEqual(Object.keys(configSchema.shape).sort());
  expect(Object.keys(others).sort()).toEqual(Object.keys(fieldClasses).sort());
});

describe.each(Object.entries(others) as [ConfigField, Partial<TrainerConfig>][])("another %s", (field, change) => {
  const free = fieldClasses[field] === "free";

  it(free ? "may go on" : "is refused, and shown with both values", () => {
    const [before, after] = [recordOf(around[field]), recordOf({ ...around[field], ...change })];
    const found = forbiddenChanges(before, after);
    if (free) {
      expect(found).toEqual([]);
      return;
    }
    expect(found.length).toBeGreaterThan(0);
    for (const { path } of found) expect(path.split(".")[0]).toBe(field);
    expect(() => mustBeContinuable(before, after)).toThrow(
      expect.objectContaining({
        code: "ERR_RESUME",
        exitCode: 2,
        message: expect.stringMatching(
          new RegExp(`  ${found[0]!.path}: .+ -> .+[^]*--allow-change ${field}`),
        ) as string,
      }),
    );
  });

  it("resumes where that is allowed", () => {
    const [before, after] = [recordOf(around[field]), recordOf({ ...around[field], ...change })];
    expect(forbiddenChanges(before, after, [field])).toEqual([]);
  });
});

describe("what may differ", () => {
  const config: TrainerConfig = microConfig({ plugins: [labelSmoothing(), ema()], epochs: 4 });
  let places: Checkpoint[];
  let whole: Awaited<ReturnType<typeof fitWeights>>;
  beforeAll(async () => {
    await loadBackend();
    places = [];
    whole = await fitWeights(config, { onResumePoint: (snapshot) => void places.push(toCheckpoint(snapshot, 0)) });
  });
  const goOn = (change: Partial<TrainerConfig>, from = places[5]!) =>
    fitWeights({ ...config, ...change }, { from: () => fromCheckpoint(structuredClone(from)) });
  const free = Object.entries(others).filter(([field]) => fieldClasses[field as ConfigField] === "free");

  it.each(free)("in %s moves no bit of the weights", async (_, change) => {
    expect((await goOn(change)).hash).toBe(whole.hash);
  });

  it("in the data's place and the number of epochs neither: the beginning stays, and a run of the new length is what comes", async () => {
    const longer = await fitWeights({ ...config, epochs: 6 });
    expect((await goOn({ epochs: 6 })).hash).toBe(longer.hash);
    expect((await goOn({ epochs: 6 }, places.at(-1))).hash).toBe(longer.hash);
  });

  it("and not what is fixed: it would be another run", async () => {
    const moved = await Promise.all(
      (["learningRate", "batchSize", "optimizer", "plugins", "holdout", "limitTrain"] as const).map(async (field) =>
        fitWeights({ ...config, ...others[field] }),
      ),
    );
    for (const { hash } of moved) expect(hash).not.toBe(whole.hash);
  });
});

describe("a continuation", () => {
  it("as it was is none to refuse", () => {
    expect(forbiddenChanges(recordOf(), recordOf())).toEqual([]);
    expect(() => mustBeContinuable(recordOf(), recordOf())).not.toThrow();
  });

  it("may have more epochs", () => {
    expect(forbiddenChanges(recordOf(), recordOf({ epochs: 9 }))).toEqual([]);
  });

  it("names the option of the plugin that changed", () => {
    expect(forbiddenChanges(recordOf(), recordOf(others.plugins))).toEqual([
      { path: "plugins.label-smoothing.smoothing", before: 0.1, after: 0.2 },
    ]);
  });

  it.each([
    ["one more", [labelSmoothing(), ema(), { ...makePart(ema()), name: "third" }]],
    ["one less", [labelSmoothing()]],
    ["another order", [ema(), labelSmoothing()]],
  ] as const)("has the same plugins in the same order, and not %s", (_, plugins) => {
    expect(forbiddenChanges(recordOf(), recordOf({ plugins })).length).toBeGreaterThan(0);
  });

  it("may have the plugin data-parallel or not: the number of processes is compared by itself", () => {
    const [alone, group] = [recordOf(), recordOf({ plugins: [labelSmoothing(), dataParallel({ port: 2000 }), ema()] })];
    expect(forbiddenChanges(alone, group)).toEqual([]);
    expect(forbiddenChanges(group, alone)).toEqual([]);
    expect(configHash(group)).toBe(configHash(alone));
  });

  it("may find its data elsewhere", () => {
    const at = (path: string): ConfigRecord => {
      const record = recordOf();
      return { ...record, data: { ...record.data, options: { ...record.data.options, path } } };
    };
    expect(forbiddenChanges(at("here"), at("there"))).toEqual([]);
  });

  it("may find the weights it began with elsewhere, and no other plugin's path", () => {
    const at = (name: string, path: string | null): ConfigRecord => ({
      ...recordOf(),
      plugins: [{ name, options: { path } }],
    });
    expect(forbiddenChanges(at("finetune", "here"), at("finetune", "there"))).toEqual([]);
    expect(forbiddenChanges(at("own", null), at("own", "there"))).toEqual([
      { path: "plugins.own.path", before: null, after: "there" },
    ]);
  });

  it("says all that differs, and how to allow it", () => {
    const changed = recordOf({ ...others.seed, plugins: [ema(), labelSmoothing()] });
    expect(() => mustBeContinuable(recordOf(), changed)).toThrow(
      "The run was made with another config. Changed fields:\n" +
        "  seed: 1 -> 2\n" +
        '  plugins.(order): "label-smoothing, ema" -> "ema, label-smoothing"\n' +
        "Restore them, or allow the change with --allow-change seed --allow-change plugins.",
    );
  });

  describe("of a run that was made before a field was thought of", () => {
    const defaults = Object.entries(configSchema.shape).flatMap(([field, schema]) => {
      const { data } = schema.safeParse(undefined);
      return data === undefined ? [] : [[field as ConfigField, data as never] as const];
    });
    const older = (field: ConfigField): ConfigRecord => {
      const { [field]: _, ...rest } = recordOf();
      return rest as ConfigRecord;
    };

    it("is about fields that have a default", () => {
      expect(defaults.map(([field]) => field)).toEqual(
        expect.arrayContaining(["batchSize", "holdout", "seed", "evaluateEvery"]),
      );
    });

    it.each(defaults)("goes on with %s as its default", (field, value) => {
      expect(forbiddenChanges(older(field), recordOf({ [field]: value }))).toEqual([]);
    });

    it.each(
      defaults.filter(
        ([field]) => fieldClasses[field] === "fixed" && !["precision", "plugins", "monitor"].includes(field),
      ),
    )("is refused another %s, shown beside the default", (field, value) => {
      const other = others[field as keyof typeof others];
      expect(forbiddenChanges(older(field), recordOf(other))).toEqual([
        { path: field, before: value, after: recordOf(other)[field as ConfigField] },
      ]);
    });

    it("and another monitor, by its parts", () => {
      expect(forbiddenChanges(older("monitor"), recordOf({ monitor: "top1" }))).toEqual([
        { path: "monitor.metric", before: "loss", after: "top1" },
        { path: "monitor.direction", before: "lower", after: "higher" },
      ]);
    });

    it("and of a field without a default, that it was not set", () => {
      expect(() => mustBeContinuable(older("limitTrain"), recordOf())).toThrow("limitTrain: (not set) -> 16");
    });
  });

  it("shows every difference at once", () => {
    const changed = recordOf({ ...others.seed, ...others.learningRate, ...others.plugins });
    expect(() => mustBeContinuable(recordOf(), changed)).toThrow(
      /learningRate: 0.05 -> 0.06[^]*seed: 1 -> 2[^]*smoothing: 0.1 -> 0.2/,
    );
    expect(forbiddenChanges(recordOf(), changed, ["seed", "plugins"]).map(({ path }) => path)).toEqual([
      "learningRate",
    ]);
  });
});
