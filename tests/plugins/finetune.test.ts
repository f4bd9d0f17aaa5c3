import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../core/data/shapes.js";
import {
  type CommonWeights,
  commonWeights,
  type FitContext,
  type Layer,
  loadBackend,
  type Plugin,
  Trainer,
  type TrainerConfig,
} from "../../core/index.js";
import type { OnResumePoint } from "../../core/loop/recovery.js";
import { resnet18, resnet34 } from "../../core/models/index.js";
import { initialWeights } from "../../core/nn/layer.js";
import { readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from "../../core/nn/safetensors.js";
import { weightsToSafetensors } from "../../core/nn/weights-file.js";
import { makePart } from "../../core/parts.js";
import { type Choice, chooseWeights } from "../../core/pretrained/choose.js";
import { fitWeights, microConfig, microNet } from "../../core/testing/index.js";
import { differentialLr, ema, finetune, gradientAccumulation, squeezeExcite } from "../../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../run/checkpoints.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-finetune-"));
const through = (layer: Layer): Layer => layer;
const golden = join(import.meta.dirname, "../golden/torch/resnet-trace/resnet18-sgd.last.safetensors");

/** A file with the first weights of a micro net under another seed. */
function file(name: string, { classes = 4, seed = 99, width = 16 } = {}): string {
  const { layer } = makePart(microNet({ width })).build({
    inputSize: 32,
    classes,
    buildBlock: through,
    buildHead: through,
  });
  const path = join(folder, name);
  tf.tidy(() => writeFileSync(path, weightsToSafetensors(initialWeights(layer, seed), layer)));
  return path;
}

beforeAll(async () => void (await loadBackend()));
afterAll(() => rmSync(folder, { recursive: true }));

/** Weights as the first step finds them, and what was said. */
async function firstWeights(config: TrainerConfig): Promise<{ weights: Map<string, number[]>; said: string[] }> {
  const weights = new Map<string, number[]>();
  const said: string[] = [];
  const probe: Plugin = {
    name: "probe",
    options: {},
    apply: ({ hooks }) =>
      hooks.onFitStart.tap({ stage: "last" }, (run) => {
        for (const [name, value] of run.weights()) weights.set(name, [...value.dataSync()]);
      }),
  };
  const trainer = new Trainer({ ...config, maxSteps: 1, plugins: [...(config.plugins ?? []), probe] });
  trainer.events.on("note", ({ message }) => said.push(message));
  trainer.events.on("warning", ({ message }) => said.push(`warning: ${message}`));
  await trainer.fit();
  return { weights, said };
}

describe("finetune", () => {
  it("begins with every weight of the file", async () => {
    const path = file("same.safetensors");
    const { weights, said } = await firstWeights(microConfig({ plugins: [finetune({ path })] }));
    const { layer } = makePart(microNet()).build({
      inputSize: 32,
      classes: 4,
      buildBlock: through,
      buildHead: through,
    });
    const expected = initialWeights(layer, 99);
    expect([...weights.keys()]).toEqual([...expected.keys()]);
    for (const [name, value] of expected) expect(weights.get(name)).toEqual([...value.dataSync()]);
    tf.dispose([...expected.values()]);
    expect(said).toEqual([`finetune: 8 of 8 weights are from ${path}. New: none. Not used: none.`]);
  });

  it("turns PyTorch's layouts into ours", async () => {
    const { tensors } = readSafetensors(readFileSync(golden));
    const model = resnet18({ width: 4 });
    const classes = tensors.get("fc.weight")!.shape[0]!;
    const data = shapes({ classes, size: 8, train: 4 * classes, test: 10 });
    const config = microConfig({ model, data, plugins: [finetune({ path: golden })] });
    const { weights } = await firstWeights(config);
    const [out, input, height, width] = tensors.get("layer2.0.conv1.weight")!.shape as [number, number, number, number];
    const theirs = toFloat32(tensors.get("layer2.0.conv1.weight")!)!;
    const ours = weights.get("layer2.0.conv1.weight")!;
    for (const [o, i, y, x] of [
      [0, 0, 0, 0],
      [out - 1, 0, 1, 2],
      [2, input - 1, 2, 0],
    ] as const) {
      const there = theirs[((o * input + i) * height + y) * width + x];
      expect(ours[((y * width + x) * input + i) * out + o]).toBe(there);
    }
    expect(weights.get("bn1.running_var")).toEqual([...toFloat32(tensors.get("bn1.running_var")!)!]);
  });

  it("keeps a new head, bias and all, where its shapes differ; and says so", async () => {
    const path = file("seven.safetensors", { classes: 7 });
    const { weights, said } = await firstWeights(microConfig({ plugins: [finetune({ path })] }));
    const plain = await firstWeights(microConfig());
    expect(weights.get("fc.weight")).toEqual(plain.weights.get("fc.weight"));
    expect(weights.get("fc.bias")).toEqual(plain.weights.get("fc.bias"));
    expect(weights.get("stem.weight")).not.toEqual(plain.weights.get("stem.weight"));
    const names = "fc.weight, fc.bias";
    expect(said).toEqual([`finetune: 6 of 8 weights are from ${path}. New: ${names}. Not used: ${names}.`]);
  });

  it("keeps a new head where it is told to, and new parts that the file does not know", async () => {
    const path = file("four.safetensors");
    const fresh = await firstWeights(microConfig({ plugins: [finetune({ path, newHead: true })] }));
    expect(fresh.said).toEqual([expect.stringMatching(/^finetune: .*New: fc\.weight, fc\.bias\./)]);
    const plugins = [squeezeExcite(), finetune({ path, partial: true })];
    const excited = await firstWeights(microConfig({ plugins }));
    expect(excited.said[0]).toMatch(/^warning: finetune: .*New: block\.se\.fc1\.weight, .*\. Not used: none\./);
    await expect(fitWeights(microConfig({ plugins: [squeezeExcite(), finetune({ path })] }))).rejects.toThrow(
      /it lacks block\.se\.fc1\.weight, .*"partial: true"\.$/,
    );
  });

  it("says which prefix it removed and which types it converted", async () => {
    const { tensors } = readSafetensors(readFileSync(file("plain.safetensors")));
    const halves = [...tensors].map(([name, { shape, data }]): [string, StoredTensor] => [
      `module.${name}`,
      { dtype: "BF16", shape, data: Uint16Array.from(data as Float32Array, (_, at) => at % 2) },
    ]);
    const path = join(folder, "wrapped.safetensors");
    writeFileSync(path, writeSafetensors(new Map(halves)));
    const { said } = await firstWeights(microConfig({ plugins: [finetune({ path })] }));
    expect(said).toEqual([
      `finetune: 8 of 8 weights are from ${path} (without the prefix "module.", BF16 converted to float32). ` +
        "New: none. Not used: none.",
    ]);
  });

  it.each([
    [
      "shallower",
      resnet18,
      resnet34,
      /it lacks layer1\.2\.conv1\.weight, .* and \d+ more\. Only the head \(head, fc\)/,
    ],
    ["deeper", resnet34, resnet18, /it has layer1\.2\.bn1\.bias, .* and 75 more, which the model lacks\./],
  ])("refuses a %s network of the same names and shapes", async (_, ofFile, ofRun, expected) => {
    const { layer } = makePart(ofFile({ width: 4 })).build({
      inputSize: 32,
      classes: 4,
      buildBlock: through,
      buildHead: through,
    });
    const path = join(folder, "depth.safetensors");
    tf.tidy(() => writeFileSync(path, weightsToSafetensors(initialWeights(layer, 1), layer)));
    const config = microConfig({ model: ofRun({ width: 4 }), plugins: [finetune({ path })] });
    await expect(fitWeights(config)).rejects.toThrow(expected);
  });

  it("refuses a file of another network, of nothing that fits, or that is not there", async () => {
    const fit = (path: string) => fitWeights(microConfig({ plugins: [finetune({ path })] }));
    await expect(fit(file("narrow.safetensors", { width: 8 }))).rejects.toThrow(
      "it has other shapes or types for stem.weight, block.conv.weight",
    );
    const strange = join(folder, "strange.safetensors");
    writeFileSync(
      strange,
      writeSafetensors(new Map([["other", { dtype: "F32", shape: [1], data: Float32Array.of(1) }]])),
    );
    await expect(fit(strange)).rejects.toThrow("it lacks stem.weight");
    await expect(fit(join(folder, "none.safetensors"))).rejects.toMatchObject({
      code: "ERR_WEIGHTS",
      plugin: "finetune",
    });
    const count = tf.memory().numTensors;
    await expect(fit(join(folder, "narrow.safetensors"))).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(count);
  });

  it("lets a head be named, and takes none of it where a part of it differs or is missing", () => {
    const weights = new Map(["a.w", "fc.bias", "last.w"].map((name) => [name, {} as tf.Tensor]));
    const choose = (found: Partial<CommonWeights>, choice: Partial<Choice> = {}): string[] =>
      chooseWeights(
        { weights, different: [], missing: [], unexpected: [], ...found },
        { head: ["fc"], backbone: ["a"], newHead: false, partial: false, ...choice },
        "f",
      );
    expect(choose({})).toEqual(["a.w", "fc.bias", "last.w"]);
    expect(choose({}, { newHead: true })).toEqual(["a.w", "last.w"]);
    expect(choose({ different: ["fc.weight"] })).toEqual(["a.w", "last.w"]);
    expect(choose({ missing: ["fc.weight"] })).toEqual(["a.w", "last.w"]);
    expect(choose({ different: ["last.v"] }, { head: ["fc", "last"] })).toEqual(["a.w"]);
    expect(choose({ unexpected: ["aux.weight"] })).toEqual(["a.w", "fc.bias", "last.w"]);
    expect(choose({ unexpected: ["a.v"], missing: ["a.u"] }, { partial: true })).toHaveLength(3);
    expect(() => choose({ different: ["fcx.weight"] }, { partial: true })).toThrow(
      "other shapes or types for fcx.weight.",
    );
    expect(() => choose({ unexpected: ["a.v"] })).toThrow("it has a.v, which the model lacks.");
    expect(() => choose({ missing: ["b.w"] })).toThrow("it lacks b.w.");
    expect(() => choose({ weights: new Map(), missing: ["fc.w"], unexpected: ["x"] })).toThrow(
      "f has no weight of this network: expected names like fc.w; got x.",
    );
  });

  it("finds weights that stay put once a step was made", async () => {
    let run: FitContext | undefined;
    let refused: unknown;
    const late: Plugin = {
      name: "late",
      options: {},
      apply({ hooks }) {
        hooks.onFitStart.tap((started) => {
          run = started;
          expect(() => started.replaceWeights(new Map([["nothing", tf.zeros([1])]]))).toThrow(
            'the model has no weight "nothing"',
          );
          expect(() => started.replaceWeights(new Map([["fc.bias", tf.zeros([1])]]))).toThrow(
            'expected [4] for "fc.bias", got [1]',
          );
        });
        hooks.onEpochEnd.tap(() => {
          try {
            run!.replaceWeights(new Map());
          } catch (error) {
            refused = error;
          }
        });
      },
    };
    await fitWeights(microConfig({ epochs: 1, plugins: [late] }));
    expect(refused).toMatchObject({
      code: "ERR_PLUGIN",
      message: expect.stringContaining("steps are done") as string,
    });
  });

  it("leaves a resumed run alone, also inside the first accumulation window, where no step is done yet", async () => {
    const path = file("resumed.safetensors");
    const config = microConfig({
      batchSize: 4,
      epochs: 1,
      plugins: [finetune({ path }), gradientAccumulation({ factor: 2 })],
    });
    const places: Checkpoint[] = [];
    const onResumePoint: OnResumePoint = (snapshot) => void places.push(toCheckpoint(snapshot, 0));
    const whole = await fitWeights(config, { onResumePoint });
    writeFileSync(path, "gone");
    for (const place of places) {
      const rest = await fitWeights(config, { from: () => fromCheckpoint(structuredClone(place)) });
      expect(rest.hash).toBe(whole.hash);
    }
  });

  it("comes before averages, and trains a new head with the rest frozen", async () => {
    const path = file("frozen.safetensors", { classes: 7 });
    const plugins = [ema(), finetune({ path }), differentialLr({ freeze: 2 })];
    const { weights, summary } = await fitWeights(microConfig({ plugins }));
    const { layer } = makePart(microNet()).build({
      inputSize: 32,
      classes: 7,
      buildBlock: through,
      buildHead: through,
    });
    const common = commonWeights(readFileSync(path), layer);
    expect(weights["stem.weight"]).toEqual([...common.weights.get("stem.weight")!.dataSync()]);
    tf.dispose([...common.weights.values()]);
    expect(summary.test!.source).toBe("averaged");
  });
});
