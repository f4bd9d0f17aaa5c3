import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { forward, initialWeights } from "../../../core/nn/layer.js";
import { activation, append } from "../../../core/nn/layers.js";
import type { ModelSource } from "../../../core/nn/model.js";
import { plain } from "../../support/golden-networks.js";

beforeAll(() => loadBackend({ name: "tensorflow" }));

it("the documentation's own network runs, with its names and with what a plugin adds", async () => {
  const { tiny } = (await import("snippet:docs/models.md" as string)) as {
    tiny: (options: object) => ModelSource;
  };
  const source = tiny({ width: 4 });
  expect(source.options).toEqual({ width: 4 });
  const { layer, features } = source.build({
    ...plain(3),
    buildBlock: (branch) => append(branch, "none", activation("none", tf.zerosLike)),
  });
  const weights = initialWeights(layer, 1);
  expect([...weights.keys()]).toContain("block.conv.weight");
  const seen = new Map<string, tf.Tensor>();
  const observe = (path: string, output: tf.Tensor): tf.Tensor => (seen.set(path, output), output);
  const logits = forward(layer, tf.randomNormal([2, 8, 8, 3], 0, 1, "float32", 1), { weights, observe });
  expect(logits.shape).toEqual([2, 3]);
  expect([...seen.get(features)!.dataSync()]).toEqual([...seen.get("relu")!.dataSync()]);
});
