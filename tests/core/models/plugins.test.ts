/** The plugins that reach into a network, on every network for phones: composed, trained for two steps, drawn. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { adamw, type Given, loadBackend, type ModelSource, type Plugin, Trainer } from "../../../core/index.js";
import {
  efficientNetB0,
  efficientNetLite0,
  efficientNetLite1,
  efficientNetLite2,
  mobileNetV3Large,
  mobileNetV3Small,
} from "../../../core/models/index.js";
import { initialWeights } from "../../../core/nn/layer.js";
import { makePart } from "../../../core/parts.js";
import { fitWeights } from "../../../core/testing/index.js";
import { differentialLr, gradCam, squeezeExcite, stochasticDepth } from "../../../plugins/index.js";
import { plain } from "../../support/golden-networks.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-networks-"));
beforeAll(async () => void (await loadBackend()));
afterAll(() => rmSync(folder, { recursive: true }));

const config = (model: Given<ModelSource>, plugins: Given<Plugin>[]) => ({
  data: shapes({ classes: 4, size: 32, train: 8, test: 4 }),
  model,
  optimizer: adamw(),
  learningRate: 0.01,
  epochs: 1,
  batchSize: 4,
  plugins,
});

const networks: [string, () => Given<ModelSource>, boolean][] = [
  ["efficientnet-lite0", efficientNetLite0, false],
  ["efficientnet-lite1", efficientNetLite1, false],
  ["efficientnet-lite2", efficientNetLite2, false],
  ["efficientnet-b0", efficientNetB0, true],
  ["mobilenet-v3-small", mobileNetV3Small, true],
  ["mobilenet-v3-large", mobileNetV3Large, true],
];

describe.each(networks)("%s", (name, model, gated) => {
  it("trains with stochastic depth, differential rates, frozen stages and, where its blocks have none, gates", async () => {
    const path = join(folder, name);
    const plugins = [
      ...(gated ? [] : [squeezeExcite({ reduction: 8 })]),
      stochasticDepth({ rate: 0.5 }),
      differentialLr({ bottom: 0.01, freeze: 2 }),
      gradCam({ images: 2 }),
    ];
    const { summary, weights } = await fitWeights(config(model(), plugins), { folder: path });
    expect(summary.steps).toBe(2);
    expect(Number.isFinite(summary.test!.loss)).toBe(true);
    const gates = Object.keys(weights).filter((each) => each.includes(".se.fc1."));
    expect(gates.length > 0).toBe(!gated);
    // First values are a function of name and seed, so the network without plugins has the same ones.
    const first = initialWeights(makePart(model()).build(plain(4)).layer, 1);
    const moved = [...first].flatMap(([each, value]) => {
      const now = weights[each]!;
      return [...value.dataSync()].every((number, at) => number === now[at]) ? [] : [each];
    });
    tf.dispose([...first.values()]);
    expect(moved.filter((each) => /^(conv_stem|bn1|blocks\.0)\./.test(each))).toEqual([]);
    expect(moved).toEqual(
      expect.arrayContaining(["blocks.2.0.conv_pw.weight", "conv_head.weight", "classifier.weight"]),
    );
    expect(existsSync(join(path, "gradcam/final"))).toBe(true);
  });
});

it.each(networks.filter(([, , gated]) => gated))(
  "%s has gates already, and squeeze-excite says so",
  async (_, model) => {
    const trainer = new Trainer(config(model(), [squeezeExcite({ reduction: 8 })]));
    await expect(trainer.fit()).rejects.toThrow(/squeeze-excite.*"se"/s);
  },
);
