import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Given, graph, loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { modelByName } from "../../core/models/index.js";
import { forward, initialWeights, type Layer } from "../../core/nn/layer.js";
import { append, batchNorm, conv2d, sequential } from "../../core/nn/layers.js";
import { squeezeExcite } from "../../core/nn/squeeze-excite.js";
import { makePart } from "../../core/parts.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { interpret } from "../../core/trace/interpret.js";
import { simplify } from "../../core/trace/passes.js";
import { trace } from "../../core/trace/trace.js";
import { exportRun } from "../../export/index.js";
import { quantizedValues, type Range, rounded, withRoundedWeights } from "../../export/quantize.js";
import { earlyStopping, ema, prune, quantizeAware } from "../../plugins/index.js";
import {
  computed,
  movedRange,
  quantizedForward,
  rangedValues,
  structureOf,
} from "../../plugins/quantize-aware/forward.js";
import { train } from "../../run/index.js";
import { goldenJson, relativeDifference } from "../golden/torch/read.js";
import { micro, mustResumeFromEverywhere } from "../support/traced.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

interface Convolution {
  frozen: boolean;
  [tensor: string]: unknown;
}
const golden = goldenJson<{ moving: { batches: number[][]; ranges: number[][] }; convolutions: Convolution[] }>(
  "fake-quantize.json",
);

it("ranges move as PyTorch's MovingAverageMinMaxObserver moves them", () => {
  let range: tf.Tensor = tf.zeros([2]);
  golden.moving.batches.forEach((batch, at) => {
    range = movedRange(range, tf.tensor1d(batch));
    range.dataSync().forEach((each, end) => expect(each).toBeCloseTo(golden.moving.ranges[at]![end]!, 6));
  });
});

describe("a convolution with its norm", () => {
  it.each(golden.convolutions.map((each) => [each.frozen ? "frozen" : "in training", each] as const))(
    "is torch.ao's ConvBn2d, %s: output, statistics and gradients",
    (_, each) => {
      tf.tidy(() => {
        const tensor = (name: string): tf.Tensor => tf.tensor(each[name] as number[]);
        const image = (name: string): tf.Tensor => tf.transpose(tensor(name), [0, 2, 3, 1]);
        const kernel = tf.transpose(tensor("weight"), [2, 3, 1, 0]);
        const layer = sequential({ conv: conv2d({ in: 3, out: 4, kernel: 3 }), bn: batchNorm(4) });
        const structure = structureOf(graph.structureOf(layer, 4));
        const run = (
          weight: tf.Tensor,
          scale: tf.Tensor,
          shift: tf.Tensor,
          onBuffer?: (name: string, value: tf.Tensor) => void,
        ) => {
          const weights = new Map([
            ["conv.weight", weight],
            ["bn.weight", scale],
            ["bn.bias", shift],
            ["bn.running_mean", tensor("mean")],
            ["bn.running_var", tensor("variance")],
          ]);
          // The step alone: the golden layer rounds weights, and no value.
          const wrapped: Layer = {
            ...layer,
            forward: (x, pass) => computed(structure.steps[0]!, () => x, pass, each.frozen),
          };
          return forward(wrapped, image("x"), { weights, training: true, onBuffer });
        };
        const buffers = new Map<string, tf.Tensor>();
        const inputs = [kernel, tensor("scale"), tensor("shift")];
        const y = run(inputs[0]!, inputs[1]!, inputs[2]!, (name, value) => void buffers.set(name, value));
        const apart = (found: tf.Tensor, wanted: tf.Tensor): number =>
          relativeDifference(found.dataSync(), wanted.dataSync());
        expect(apart(y, image("y"))).toBeLessThan(1e-5);
        const dy = image("dy");
        const gradients = tf.grads((...args) => tf.sum(tf.mul(run(args[0]!, args[1]!, args[2]!), dy)))(inputs);
        expect(apart(gradients[0]!, tf.transpose(tensor("dWeight"), [2, 3, 1, 0]))).toBeLessThan(1e-4);
        expect(apart(gradients[1]!, tensor("dScale"))).toBeLessThan(1e-4);
        expect(apart(gradients[2]!, tensor("dShift"))).toBeLessThan(1e-5);
        if (each.frozen) expect(buffers.has("bn.running_mean")).toBe(false);
        else {
          expect(apart(buffers.get("bn.running_mean")!, tensor("nextMean"))).toBeLessThan(1e-5);
          expect(apart(buffers.get("bn.running_var")!, tensor("nextVariance"))).toBeLessThan(1e-5);
        }
        tf.dispose([...buffers.values()]);
      });
    },
  );
});

describe("the frozen pass", () => {
  it.each([
    ["resnet18", { width: 4 }, "own-se"],
    ["wrn", { depth: 10, width: 1 }, undefined],
    ["resnet9", { width: 4 }, undefined],
    ["efficientnet-b0", {}, undefined],
    ["efficientnet-lite0", {}, undefined],
  ] as const)("of %s makes of each value what the exported int8 network makes of it", (name, options, gates) => {
    const { layer } = makePart(modelByName(name, options)).build({
      classes: 4,
      buildBlock: (branch, { channels }) =>
        gates ? append(branch, gates, squeezeExcite({ channels, squeezed: 2 })) : branch,
      buildHead: (head) => head,
      inputSize: 32,
    });
    tf.tidy(() => {
      const weights = initialWeights(layer, 1);
      for (const [each, value] of weights) {
        if (/bias|running_mean/.test(each)) weights.set(each, tf.add(value, 0.1));
        if (each.endsWith("running_var")) weights.set(each, tf.mul(value, 1.7));
      }
      const x = tf.randomNormal([2, 32, 32, 3], 0, 1, "float32", 3);
      const exported = simplify(trace(layer, weights, 32));
      const extremes = new Map<string, Range>();
      interpret(exported, x, (value, y) => {
        extremes.set(value, [tf.min(y).dataSync()[0]!, tf.max(y).dataSync()[0]!]);
        return y;
      });
      const quantized = quantizedValues(exported, extremes);
      const simulated = new Map<string, tf.Tensor>();
      interpret(withRoundedWeights(exported, quantized), x, (value, y) => {
        simulated.set(value, tf.keep(rounded(y, quantized.get(value)!)));
        return simulated.get(value)!;
      });
      const structure = structureOf(graph.structureOf(layer, 32));
      for (const value of rangedValues(structure)) {
        const [low, high] = extremes.get(value === "normalised" ? exported.input : value)!;
        weights.set(graph.rangeName(value), tf.tensor1d([Math.min(0, low), Math.max(0, high)]));
      }
      // Each value is compared, and replaced by the other one, so that no difference grows on its way.
      let compared = 0;
      const observe = (value: string, found: tf.Tensor): tf.Tensor => {
        const { scale } = quantized.get(value)!;
        const levels = tf.abs(tf.div(tf.sub(found, simulated.get(value)!), scale));
        const [most] = tf.max(levels).dataSync();
        const [share] = tf.mean(tf.cast(tf.greater(levels, 0.5), "float32")).dataSync();
        expect(most, value).toBeLessThan(1.01);
        // Only what lies between two levels: biases are whole numbers there, and sums have another order.
        expect(share, value).toBeLessThan(0.01);
        compared++;
        return simulated.get(value)!;
      };
      const wrapped: Layer = { ...layer, forward: (input, pass) => quantizedForward(structure, input, pass, true) };
      forward(wrapped, x, { weights, training: true, observe });
      expect(compared).toBe(exported.nodes.length);
      tf.dispose([...simulated.values()]);
    });
  });
});

/** At least one of them. */
function ranges(weights: Readonly<Record<string, readonly number[]>>): [string, readonly number[]][] {
  const found = Object.entries(weights).filter(([name]) => name.startsWith("activation_range."));
  expect(found).not.toHaveLength(0);
  return found;
}

describe("in a run", () => {
  it("trains to the bits of a plain run before its epoch, and to others from there", async () => {
    const at = (epochs: number, ...plugins: Given<Plugin>[]) => fitWeights(microConfig({ epochs, plugins }));
    const plain = (await at(2)).weights;
    let second: Record<string, readonly number[]> = {};
    const probe: Plugin = {
      name: "probe",
      options: {},
      apply({ hooks }) {
        let weights: () => ReadonlyMap<string, tf.Tensor>;
        hooks.onFitStart.tap((fit) => void ({ weights } = fit));
        hooks.onEpochEnd.tap(({ epoch }) => {
          if (epoch === 1)
            second = Object.fromEntries([...weights()].map(([name, each]) => [name, [...each.dataSync()]]));
        });
      },
    };
    const { weights } = await at(4, quantizeAware({ from: 2 }), probe);
    for (const [name, values] of Object.entries(plain)) expect(second[name], name).toEqual(values);
    expect(ranges(second).every(([, [low, high]]) => low === 0 && high === 0)).toBe(true);
    expect(ranges(weights).every(([, [low, high]]) => low! <= 0 && high! > 0)).toBe(true);
    expect(weights["fc.weight"]).not.toEqual((await at(4)).weights["fc.weight"]);
  });

  it("keeps statistics and ranges in its last epochs", async () => {
    const at = async (epochs: number, freeze: number) =>
      (await fitWeights(microConfig({ epochs, plugins: [quantizeAware({ freeze })] }))).weights;
    const [before, after] = [await at(2, 0), await at(3, 1)];
    expect(ranges(after)).toEqual(ranges(before));
    expect(after["block.bn.running_mean"]).toEqual(before["block.bn.running_mean"]);
    expect(after["block.bn.weight"]).not.toEqual(before["block.bn.weight"]);
  });

  it("evaluates averages of weights with its own ranges", async () => {
    let evaluated: [string, number[]][] = [];
    const probe: Plugin = {
      name: "probe",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeEvaluate.tap({ stage: "last" }, (evaluation) => {
          evaluated = [...evaluation.weights].map(([name, each]) => [name, [...each.dataSync()]]);
          return evaluation;
        }),
    };
    const plugins = [ema({ decay: 0.9 }), quantizeAware(), probe];
    const { weights } = await fitWeights(microConfig({ plugins }));
    expect(ranges(Object.fromEntries(evaluated))).toEqual(ranges(weights));
  });

  it("resumes to the same bits, pruned as well", async () => {
    const plugins = [prune({ from: 1 }), quantizeAware({ from: 2 })];
    expect(await mustResumeFromEverywhere(micro({ epochs: 4, plugins }), 5)).toBeGreaterThan(5);
  });
});

it.each<[string, Given<Plugin>[], string]>([
  ["without an epoch in which ranges move", [quantizeAware({ from: 2 })], 'Set a smaller "from"'],
  ["whose best epoch may have no ranges", [quantizeAware({ from: 1 }), earlyStopping()], 'Remove "early-stopping"'],
])("refuses a run %s", (_, plugins, message) => {
  expect(() => new Trainer(microConfig({ plugins }))).toThrow(
    expect.objectContaining({ code: "ERR_COMPOSITION", message: expect.stringContaining(message) as string }),
  );
});

it("has ranges in every epoch that early-stopping may choose where it begins at 0", async () => {
  const { weights } = await fitWeights(microConfig({ plugins: [quantizeAware(), earlyStopping()] }));
  expect(ranges(weights).every(([, [low, high]]) => low! <= 0 && high! > 0)).toBe(true);
});

it("an export says where a run ended before its ranges were trained", async () => {
  const folder = join(mkdtempSync(join(tmpdir(), "fitloop-quantize-aware-")), "run");
  const config = microConfig({ epochs: 4, maxSteps: 1, plugins: [quantizeAware({ from: 2 })] });
  (await train(config, { folder })).dispose();
  const lines: string[] = [];
  await exportRun(folder, { config, to: "onnx:int8", log: (line) => lines.push(line) });
  rmSync(dirname(folder), { recursive: true });
  expect(lines).toContainEqual(expect.stringContaining("of an epoch before quantize-aware"));
});
