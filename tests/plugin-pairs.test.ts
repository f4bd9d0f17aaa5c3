/**
 * Every two plugins of the folder: they train together, or are refused with a reason. And where the order of
 * a list decides what comes out, that is known.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  hookNames,
  loadBackend,
  type Plugin,
  type PluginFactory,
  Trainer,
  weightsToSafetensors,
} from "../core/index.js";
import { initialWeights } from "../core/nn/layer.js";
import { type Given, makePart } from "../core/parts.js";
import { fitWeights, microConfig, microNetworkFor, mountPlugin } from "../core/testing/index.js";
import * as entry from "../plugins/index.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-pairs-"));
const file = join(folder, "weights.safetensors");

/** Settings under which a plugin shows within a few steps, where its defaults would not. */
const settings: Record<string, Record<string, unknown>> = {
  distill: { teacher: "runs/teacher-1" },
  ema: { decay: 0.5 },
  finetune: { path: file, partial: true }, // beside squeeze-excite, whose gates the file lacks
  "gradient-accumulation": { factor: 2 },
  "gradient-clipping": { maximum: 0.01 },
  l2: { decay: 0.1 },
  "random-erasing": { probability: 1 },
  whitening: { layer: "stem" },
};
const names = Object.keys(entry.plugins);
const make = (name: string): Given<Plugin> => {
  const factory = (entry.plugins as unknown as Record<string, PluginFactory>)[name]!;
  return factory(settings[name] ?? {});
};
const pairs = names.flatMap((first, at) => names.slice(at + 1).map((second) => [first, second] as const));

/** Why a list is refused, or undefined. */
function refusal(list: readonly string[]): string | undefined {
  try {
    new Trainer(microConfig({ plugins: list.map(make) }));
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: "ERR_COMPOSITION" });
    return (error as Error).message;
  }
}

/**
 * The hooks and stages at which two plugins meet, so that the list decides who comes first; told hooks aside.
 */
function meetings(first: string, second: string): string[] {
  const places = (name: string): string[] => {
    const mounted = mountPlugin(make(name));
    mounted.dispose();
    return mounted.taps.filter(({ hook }) => !hook.startsWith("on")).map(({ hook, stage }) => `${hook} (${stage})`);
  };
  const theirs = places(second);
  return places(first).filter((place) => theirs.includes(place));
}

/** Two of one slot each: policy, schedule, mixing. */
const refusedPairs = [
  "auto-augment + rand-augment",
  "auto-augment + trivial-augment",
  "cosine + cosine-restarts",
  "cosine + linear",
  "cosine + multi-step",
  "cosine + one-cycle",
  "cosine + plateau",
  "cosine + polynomial",
  "cosine + step",
  "cosine + trapezoid",
  "cosine-restarts + linear",
  "cosine-restarts + multi-step",
  "cosine-restarts + one-cycle",
  "cosine-restarts + plateau",
  "cosine-restarts + polynomial",
  "cosine-restarts + step",
  "cosine-restarts + trapezoid",
  "cutmix + mixing",
  "cutmix + mixup",
  "early-stopping + swa",
  "ema + swa",
  "linear + multi-step",
  "linear + one-cycle",
  "linear + plateau",
  "linear + polynomial",
  "linear + step",
  "linear + trapezoid",
  "mixing + mixup",
  "multi-step + one-cycle",
  "multi-step + plateau",
  "multi-step + polynomial",
  "multi-step + step",
  "multi-step + trapezoid",
  "one-cycle + plateau",
  "one-cycle + polynomial",
  "one-cycle + step",
  "one-cycle + trapezoid",
  "plateau + polynomial",
  "plateau + step",
  "plateau + trapezoid",
  "polynomial + step",
  "polynomial + trapezoid",
  "rand-augment + trivial-augment",
  "step + trapezoid",
];

/**
 * Each does something sensible in either order; the cards say which one the papers have. Beside these,
 * `grad-cam` draws the best weights at the end only when it stands after `early-stopping`; neither moves a
 * weight.
 */
const orderMatters = [
  "auto-augment + blur: beforeSample (normal)",
  "auto-augment + color-jitter: beforeSample (normal)",
  "auto-augment + grayscale: beforeSample (normal)",
  "auto-augment + random-affine: beforeSample (normal)",
  "auto-augment + random-crop-flip: beforeSample (normal)",
  "auto-augment + random-flip: beforeSample (normal)",
  "blur + color-jitter: beforeSample (normal)",
  "blur + rand-augment: beforeSample (normal)",
  "blur + random-affine: beforeSample (normal)",
  "blur + random-crop-flip: beforeSample (normal)",
  "blur + trivial-augment: beforeSample (normal)",
  "color-jitter + grayscale: beforeSample (normal)",
  "color-jitter + rand-augment: beforeSample (normal)",
  "color-jitter + random-affine: beforeSample (normal)",
  "color-jitter + random-crop-flip: beforeSample (normal)",
  "color-jitter + trivial-augment: beforeSample (normal)",
  "grayscale + rand-augment: beforeSample (normal)",
  "grayscale + random-affine: beforeSample (normal)",
  "grayscale + trivial-augment: beforeSample (normal)",
  "rand-augment + random-affine: beforeSample (normal)",
  "rand-augment + random-crop-flip: beforeSample (normal)",
  "rand-augment + random-flip: beforeSample (normal)",
  "random-affine + random-crop-flip: beforeSample (normal)",
  "random-affine + random-flip: beforeSample (normal)",
  "random-affine + trivial-augment: beforeSample (normal)",
  "random-crop-flip + random-flip: beforeSample (normal)",
  "random-crop-flip + trivial-augment: beforeSample (normal)",
  "random-flip + trivial-augment: beforeSample (normal)",
];

beforeAll(async () => {
  await loadBackend();
  const { layer } = makePart(microConfig().model).build({
    inputSize: 32,
    classes: 4,
    buildBlock: (branch) => branch,
    buildHead: (head) => head,
  });
  tf.tidy(() => writeFileSync(file, weightsToSafetensors(initialWeights(layer, 5), layer)));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("every two plugins", () => {
  const together = pairs.filter((pair) => refusal(pair) === undefined);

  it("are refused in both orders or in neither, with both names and what to do", () => {
    const refused = pairs.filter((pair) => !together.includes(pair));
    for (const [first, second] of refused) {
      for (const reason of [refusal([first, second])!, refusal([second, first])!]) {
        expect(reason).toContain(`"${first}"`);
        expect(reason).toContain(`"${second}"`);
        expect(reason).toMatch(/Remove|Set/);
      }
    }
    for (const [first, second] of together) expect(refusal([second, first])).toBeUndefined();
    expect(refused.map((pair) => pair.join(" + "))).toEqual(refusedPairs);
  });

  it.each(names)("%s trains beside each of the others", async (name) => {
    for (const [first, second] of together.filter(([first]) => first === name)) {
      const before = tf.memory().numTensors;
      // Two steps are too few for a graph, and recording them takes longer.
      const config = microConfig({ batchSize: 4, plugins: [make(first), make(second)], maxSteps: 2, capture: false });
      const { summary, dispose } = await new Trainer(config).fit({ openNetwork: microNetworkFor(config) });
      dispose();
      expect([first, second, summary.steps]).toEqual([first, second, 2]);
      expect(Number.isFinite(summary.test!.loss)).toBe(true);
      expect([first, second, tf.memory().numTensors]).toEqual([first, second, before]);
    }
  });
});

describe("the order of the list", () => {
  it("matters for these pairs and no others", async () => {
    const found: string[] = [];
    for (const [first, second] of pairs) {
      if (refusal([first, second]) !== undefined || meetings(first, second).length === 0) continue;
      const hashes = [];
      for (const list of [
        [first, second],
        [second, first],
      ]) {
        hashes.push((await fitWeights(microConfig({ epochs: 2, plugins: list.map(make), capture: false }))).hash);
      }
      if (hashes[0] !== hashes[1]) found.push(`${first} + ${second}: ${meetings(first, second).join(", ")}`);
    }
    expect(found).toEqual(orderMatters);
  });

  it.each(["cutmix", "mixup"])("is free for label-smoothing and %s: targets and weights are the same", async (name) => {
    const hash = async (list: string[]): Promise<string> =>
      (await fitWeights(microConfig({ plugins: list.map(make) }))).hash;
    expect(await hash([name, "label-smoothing"])).toBe(await hash(["label-smoothing", name]));
  });

  it("is the order of the stages first, at every hook", () => {
    const list = [
      "early-stopping",
      "label-smoothing",
      "cutmix",
      "ema",
      "test-time-augmentation",
      "stochastic-depth",
      "dropout",
    ];
    const plugins = list.map(make);
    const { taps } = mountPlugin(make("progressive-resizing"), { config: { plugins } });
    const stagesOf = (hook: string): string[] => taps.filter((tap) => tap.hook === hook).map(({ stage }) => stage);
    const rank = ["first", "early", "normal", "late", "last"];
    for (const hook of hookNames) {
      const ranks = stagesOf(hook).map((stage) => rank.indexOf(stage));
      expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
    }
    expect(taps.filter(({ hook }) => hook === "beforeEvaluate").map(({ plugin }) => plugin)).toEqual([
      "ema",
      "test-time-augmentation",
      "early-stopping",
    ]);
  });
});
