/**
 * What every plugin in plugins/ keeps to, found by looking into the folder: nobody has to add a plugin here, except to
 * the table of neutral settings, and its absence there fails.
 */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../core/data/index.js";
import {
  loadBackend,
  type Plugin,
  type PluginFactory,
  type PluginInstance,
  Trainer,
  type TrainerConfig,
  weightsToSafetensors,
} from "../core/index.js";
import type { OnResumePoint } from "../core/loop/recovery.js";
import { initialWeights } from "../core/nn/layer.js";
import { type Given, makePart } from "../core/parts.js";
import { type Fitted, fitWeights, microConfig, microNetworkFor, mountPlugin } from "../core/testing/index.js";
import * as entry from "../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../run/checkpoint-writer.js";
import type { Checkpoint } from "../run/checkpoints.js";

interface Neutral {
  /** Options with which the plugin does nothing, bit for bit. */
  options?: Record<string, unknown>;
  /** Why there are none. */
  none?: string;
  /** Options and surroundings for the micro run, where the defaults do not suit it. */
  micro?: Record<string, unknown>;
  config?: Partial<TrainerConfig>;
}

const outputs = mkdtempSync(join(tmpdir(), "fitloop-contract-"));
const initialFile = join(outputs, "initial.safetensors");
const rate = microConfig().learningRate;
const neutral: Record<string, Neutral> = {
  "auto-augment": { options: { probability: 0 } },
  "balanced-sampler": { options: { strength: 0 } },
  "bias-lr": { options: { factor: 1 } },
  blur: { options: { probability: 0 } },
  "class-weights": { options: { power: 0 } },
  "color-jitter": { options: { brightness: 0, contrast: 0, saturation: 0, hue: 0 } },
  cosine: { options: { minimum: rate } },
  "cosine-restarts": { options: { minimum: rate } },
  cutmix: { options: { probability: 0 } },
  cutout: { options: { size: 0 } },
  "data-parallel": { options: {} }, // alone, where no launcher names a rank
  "differential-lr": { options: { bottom: 1, head: 1 } },
  distill: { options: { teacher: "runs/teacher-1", alpha: 0 }, micro: { teacher: "runs/teacher-1" } },
  dropout: { options: { rate: 0 } },
  "early-stopping": { options: { patience: 1000 } },
  ema: { options: {} }, // evaluates other weights, and leaves those that train alone
  // The file holds the very weights that a run without it begins with.
  finetune: { options: { path: initialFile }, micro: { path: initialFile } },
  grayscale: { options: { probability: 0 } },
  "grad-cam": { options: {} },
  "gradient-accumulation": { options: { factor: 1 } },
  "gradient-clipping": { options: { maximum: 1e9 } },
  l2: { options: { decay: 0 } },
  "label-smoothing": { options: { smoothing: 0 } },
  linear: { options: { start: 1, end: 1 } },
  lookahead: { options: { alpha: 1 }, micro: { every: 2 } },
  "max-norm": { options: { maximum: 1e9 }, micro: { maximum: 0.5 } },
  mixing: { options: { probability: 0 } },
  mixup: { options: { probability: 0 } },
  "multi-step": { options: { milestones: [] } },
  "one-cycle": { options: { divFactor: 1, finalDivFactor: 1 } },
  plateau: { options: { patience: 1000 }, config: { holdout: 0.25 } },
  polynomial: { options: { minimum: rate } },
  "progressive-resizing": { options: { from: 1 } },
  prune: { options: { target: 0 } },
  "quantize-aware": { none: "its ranges are weights, which the network without it does not have" },
  "rand-augment": { options: { operations: 0 } },
  "random-affine": { options: { probability: 0 } },
  "random-crop-flip": { options: { padding: 0, flip: 0 } },
  "random-flip": { options: { horizontal: 0 } },
  "random-resized-crop": { options: { scale: [1, 1], ratio: [1, 1] } },
  "random-erasing": { options: { probability: 0 } },
  "squeeze-excite": { none: "its gates are parameters, which the network without it does not have" },
  step: { options: { gamma: 1 } },
  "stochastic-depth": { options: { rate: 0 } },
  swa: { options: {}, micro: { start: 0.5 } }, // ends with other weights, and leaves those that train alone
  "test-time-augmentation": { options: {} }, // looks at images more often in evaluation, and trains as ever
  trapezoid: { options: { warmUp: 0, coolDown: 0 } },
  "trivial-augment": { options: { probability: 0 } },
  "visual-log": { options: {} },
  warmup: { options: { epochs: 0 } },
  whitening: { none: "it gives the first layer other values", micro: { layer: "stem" } },
};

const folder = new URL("../plugins/", import.meta.url);
const names = readdirSync(folder, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : []));
const camelCase = (name: string): string => name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

let plain: Fitted;
beforeAll(async () => {
  await loadBackend();
  const through = <T>(layer: T): T => layer;
  const { layer } = makePart(microConfig().model).build({
    inputSize: 32,
    classes: 4,
    buildBlock: through,
    buildHead: through,
  });
  tf.tidy(() => writeFileSync(initialFile, weightsToSafetensors(initialWeights(layer, 1), layer)));
  plain = await fitWeights(micro([]));
});
afterAll(() => rmSync(outputs, { recursive: true, force: true }));

/** Two batches an epoch, the second one short; three epochs, so that what counts epochs has some. */
function micro(plugins: readonly Given<Plugin>[], config: Partial<TrainerConfig> = {}): TrainerConfig {
  return microConfig({ epochs: 3, ...config, plugins: [...(config.plugins ?? []), ...plugins] });
}
const runFolder = (): string => mkdtempSync(join(outputs, "run-"));

it("the entry exports the folder's plugins, named views and nothing else", () => {
  const { plugins, sixViews, ...factories } = entry;
  expect(sixViews.of).toBe("logits");
  expect(Object.keys(plugins).sort()).toEqual([...names].sort());
  expect(Object.keys(factories).sort()).toEqual(names.map(camelCase).sort());
});

it("the table of neutral settings knows every plugin and no other", () => {
  expect(Object.keys(neutral).sort()).toEqual([...names].sort());
});

describe.each(names)("%s", (name) => {
  const factory = (entry.plugins as unknown as Record<string, PluginFactory>)[name]!;
  const { options: still, none, micro: fitting = {}, config: around } = neutral[name] ?? {};
  const fit = (plugin: Given<Plugin>, before?: (trainer: Trainer) => void): Promise<Fitted> =>
    fitWeights(micro([plugin], around), { before, folder: runFolder() });
  const read = (file: string): string => readFileSync(new URL(`${name}/${file}`, folder), "utf8");
  const card = (): string => read("README.md");
  const mounted = () => mountPlugin(factory(fitting), { config: around });

  it("is exported under its name and says what it is in one line", async () => {
    const own = (await import(`../plugins/${name}/index.ts`)) as Record<string, unknown>;
    expect(factory.definition.name).toBe(name);
    expect(own[camelCase(name)]).toBe(factory);
    expect((entry as Record<string, unknown>)[camelCase(name)]).toBe(factory);
    expect(factory.definition.summary).toMatch(/^[A-Z][^\n]{10,100}[^.\n]$/);
  });

  it("has tests of its own beside these", () => {
    const places = [`plugins/${name}.test.ts`, `plugins/${name}/${name}.test.ts`];
    expect(places.filter((place) => existsSync(join(import.meta.dirname, place)))).toHaveLength(1);
  });

  it("imports the core's entry, its own files, and no other plugin", () => {
    for (const file of readdirSync(new URL(name, folder)).filter((each) => each.endsWith(".ts"))) {
      const imports = [...read(file).matchAll(/from "([^"]+)"/g)].map(([, path]) => path!);
      const strange = imports.filter(
        (path) =>
          !/^(\.\.\/\.\.\/core\/index\.js|@tensorflow\/tfjs-core|pbf|zod|node:[\w/]+|\.\/[\w-]+\.js)$/.test(path),
      );
      expect(strange).toEqual([]);
      expect(read(file)).not.toMatch(/Math\.random/);
    }
  });

  it("has a card: one sentence, hooks, cost, paper, options as the schema has them, and what there is to know", () => {
    const text = card();
    expect(text).toMatch(new RegExp(`^# ${name}\n\n[A-Z][^#]+\\.\n\n- Hooks: `));
    expect(text).toMatch(/^- Cost: \S/m);
    expect(text).toMatch(/^- Paper: \S/m);
    for (const part of ["Differs from the paper", "Measured effect", "Interacts with"]) {
      expect(text).toContain(`**${part}.** `);
    }
    const rows = Object.entries(factory.definition.options.shape as Record<string, import("zod").ZodType>).map(
      ([key, schema]) => {
        const { data, success } = schema.safeParse(undefined);
        const value = success && data !== undefined ? `\`${JSON.stringify(data)}\`` : "none";
        return `| \`${key}\` | ${value} | ${schema.description} |`;
      },
    );
    expect(text.match(/^\| `.*$/gm) ?? []).toEqual(rows);
  });

  it("taps what its card says", () => {
    const line = /^- Hooks: ((?:.+\n)(?: {2}.+\n)*)/m.exec(card())?.[1] ?? "";
    const said = [...line.matchAll(/`(\w+)`(?: \((\w+)\))?/g)].map(
      ([, hook, stage]) => `${hook} (${stage ?? "normal"})`,
    );
    const { taps, dispose } = mounted();
    const tapped = taps.filter(({ plugin }) => plugin === name).map(({ hook, stage }) => `${hook} (${stage})`);
    dispose();
    expect(said.sort()).toEqual(tapped.sort());
  });

  it("trains as its card shows", async () => {
    const { default: config } = (await import(`snippet:plugins/${name}/README.md`)) as {
      default: TrainerConfig;
    };
    expect(config.plugins?.map((plugin) => plugin.name)).toContain(name);
    const short = {
      ...config,
      batchSize: Math.min(config.batchSize ?? 8, 8),
      limitTrain: 40,
      limitTest: 8,
      maxSteps: 2,
    };
    const openNetwork = microNetworkFor(short); // for cards that name a run
    expect((await new Trainer(short).fit({ folder: runFolder(), openNetwork })).summary.steps).toBe(2);
  });

  it("has options of plain JSON that make the same plugin again", () => {
    for (const options of [makePart(factory(fitting)).options, ...(still ? [makePart(factory(still)).options] : [])]) {
      const record = JSON.parse(JSON.stringify(options)) as Record<string, unknown>;
      expect(record).toEqual(options);
      expect(makePart(factory(record)).options).toEqual(options);
    }
  });

  it("refuses an option that it does not have, with the nearest it has", () => {
    const [known] = Object.keys(factory.definition.options.shape);
    const near = known === undefined ? "" : ` (did you mean "${known}"?)`;
    expect(() => makePart(factory({ ...fitting, [`${known}x`]: 1 }))).toThrow(
      expect.objectContaining({
        code: "ERR_OPTION",
        message: expect.stringContaining(`Plugin "${name}": unknown option "${known}x"${near}`) as string,
      }),
    );
  });

  it("trains, leaks nothing, and gives the same bits again", async () => {
    const before = tf.memory();
    const held: string[] = [];
    const accused: string[] = [];
    const accuse = ({ events }: Trainer): void =>
      events.on("warning", ({ message }) => void (/ leaks|left \d+ tensors/.test(message) && accused.push(message)));
    const first = await fit(factory(fitting), (trainer) => {
      trainer.events.on("step", () => {
        const { numTensors, numBytes } = tf.memory();
        held.push(`${numTensors} tensors, ${numBytes} bytes`);
      });
      accuse(trainer);
    });
    expect(accused).toEqual([]);
    const after = tf.memory();
    expect(first.summary.steps).toBeGreaterThanOrEqual(3);
    expect([after.numTensors, after.numBytes]).toEqual([before.numTensors, before.numBytes]);
    expect(new Set(held.slice(2)).size).toBe(1);
    expect(Object.values(first.weights).flat().every(Number.isFinite)).toBe(true);

    expect((await fit(factory(fitting))).hash).toBe(first.hash);
    // One object in two trainers at once: what it keeps is in the closure of each `apply`.
    const shared = factory(fitting);
    const pair = await Promise.all([fit(shared, accuse), fit(shared, accuse)]);
    expect(accused).toEqual([]);
    expect(pair.map(({ hash }) => hash)).toEqual([first.hash, first.hash]);
  });

  it.each(["float32", "bfloat16"] as const)(
    "trains in %s to the same bits as one graph and operation by operation",
    async (precision) => {
      const run = async (capture: boolean): Promise<{ hash: string; told: string[] }> => {
        const told: string[] = [];
        const data = shapes({ classes: 4, size: 8, train: 48, test: 6 }); // five batches an epoch, the last one short
        const config = micro([factory(fitting)], {
          data,
          epochs: 2,
          ...around,
          capture,
          precision,
          backend: "tensorflow",
        });
        const { hash } = await fitWeights(config, {
          folder: runFolder(),
          before: ({ events }) => events.on("warning", ({ message }) => void told.push(message)),
        });
        return { hash, told };
      };
      const [whole, single] = [await run(true), await run(false)];
      expect(whole.hash).toBe(single.hash);
      expect(whole.told).toEqual(single.told);
    },
  );

  it("goes on from every place of a run to the same bits, through what it saves", async () => {
    const places: Checkpoint[] = [];
    const onResumePoint: OnResumePoint = (snapshot) => void places.push(toCheckpoint(snapshot, 0));
    // Operation by operation, which is quicker for so few steps: the test above holds graphs to the same bits.
    const config = micro([factory(fitting)], { ...around, capture: false });
    const whole = await fitWeights(config, { folder: runFolder(), onResumePoint });
    expect(places.length).toBeGreaterThan(8);
    for (const place of places) {
      const from = () => fromCheckpoint(structuredClone(place));
      const rest = await fitWeights(config, { folder: runFolder(), from });
      expect(rest.hash).toBe(whole.hash);
      expect(rest.summary.validation).toEqual(whole.summary.validation);
      expect(rest.summary.stopReason).toBe(whole.summary.stopReason);
    }
  });

  it("does nothing at its neutral setting, bit for bit", async () => {
    if (none !== undefined) {
      expect(none).toMatch(/\w+ \w+/);
      return;
    }
    const reference = around ? await fitWeights(micro([], around)) : plain;
    expect((await fit(factory(still))).hash).toBe(reference.hash);
  });

  it("saves JSON and tensors that another one takes over, and disposes of them, twice if need be", async () => {
    const inner = makePart(factory(fitting));
    let instance: PluginInstance | undefined;
    const plugin: Plugin = { ...inner, apply: (context) => (instance = inner.apply(context) ?? {}) };
    const disagreements: string[] = [];
    await fit(plugin, ({ events }) =>
      events.on("epoch:end", () => {
        const saved = instance!.save?.();
        if (!saved) return;
        const values = saved.values === undefined ? undefined : (JSON.parse(JSON.stringify(saved.values)) as unknown);
        const copies =
          saved.tensors && new Map([...saved.tensors].map(([key, value]) => [key, tf.keep(value.clone())]));
        const count = tf.memory().numTensors;
        const other = mounted();
        other.instance.load!({ values, tensors: copies });
        const again = other.instance.save!();
        if (!Object.is(JSON.stringify(again.values), JSON.stringify(saved.values))) disagreements.push("values");
        if (`${[...(again.tensors?.keys() ?? [])]}` !== `${[...(saved.tensors?.keys() ?? [])]}`)
          disagreements.push("tensors");
        other.dispose();
        other.dispose();
        if (tf.memory().numTensors !== count - (copies?.size ?? 0)) disagreements.push("left tensors behind");
      }),
    );
    expect(disagreements).toEqual([]);
  });
});
