import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";

import { loadBackend } from "../../../core/backend/index.js";

it("loads TensorFlow from the cache, once, and computes with it", async () => {
  const backend = await loadBackend({ name: "tensorflow" });
  expect(backend).toMatchObject({ name: "tensorflow", version: "2.21.0", notes: [] });
  expect(await loadBackend({ name: "tensorflow" })).toBe(backend);
  expect(tf.getBackend()).toBe("tensorflow");
  const product = tf.matMul(
    tf.tensor2d([
      [1, 2],
      [3, 4],
    ]),
    tf.tensor2d([[5], [6]]),
  );
  expect([...product.dataSync()]).toEqual([17, 39]);
});
