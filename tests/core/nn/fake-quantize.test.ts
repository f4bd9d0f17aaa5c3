/** Fake quantization against torch.ao's, on both backends. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import * as ops from "../../../core/nn/ops.js";
import { quantizedRange } from "../../../export/quantize.js";
import { goldenJson } from "../../golden/torch/read.js";

interface Rounded {
  name: string;
  x: number[];
  low: number;
  high: number;
  scale: number;
  zero: number;
  y: number[];
  dy: number[];
  dx: number[];
}
const golden = goldenJson<{ tensors: Rounded[]; channels: { weight: number[][]; y: number[][] }[] }>(
  "fake-quantize.json",
);

describe.each(["tensorflow", "wasm"] as const)("on %s", (name) => {
  beforeAll(() => loadBackend({ name }));

  it.each(golden.tensors.map((each) => [each.name, each] as const))(
    "rounds as PyTorch and the export: %s",
    (_, each) => {
      const { x, low, high, scale, zero, y, dy, dx } = each;
      const exported = quantizedRange([low, high]);
      expect(exported.scale).toBeCloseTo(scale, 7);
      expect(exported.zero + 128).toBe(zero);
      const [found, gradient] = tf.tidy(() => {
        const rounded = (input: tf.Tensor): tf.Tensor => ops.fakeQuantize(input, () => tf.tensor1d([low, high]));
        const input = tf.tensor1d(x);
        return [rounded(input).dataSync(), tf.grad(rounded)(input, tf.tensor1d(dy)).dataSync()];
      });
      // Beyond the last level PyTorch's gradient goes on for half a level.
      const [least, most] = [-zero * scale, (255 - zero) * scale];
      const atAnEnd = (value: number): boolean =>
        [least, most].some((end) => Math.abs(value - end) < scale && (value < least || value > most));
      let outside = 0;
      x.forEach((value, at) => {
        expect(found![at]!).toBeCloseTo(y[at]!, 6);
        if (atAnEnd(value)) return;
        expect(gradient![at]!).toBeCloseTo(dx[at]!, 6);
        if (value < least || value > most) outside++;
      });
      expect(outside).toBeGreaterThan(0);
    },
  );

  it("rounds each output channel of a filter by its own scale", () => {
    tf.tidy(() => {
      for (const { weight, y } of golden.channels) {
        const torch = tf.tensor(weight as unknown as number[]);
        const axes = torch.rank === 4 ? [2, 3, 1, 0] : [1, 0];
        const found = tf.transpose(
          ops.fakeQuantizeFilter(tf.transpose(torch, axes)),
          axes.map((_, at) => axes.indexOf(at)),
        );
        const wanted = tf.tensor(y as unknown as number[]).dataSync();
        found.dataSync().forEach((each, at) => expect(each).toBeCloseTo(wanted[at]!, 6));
        const depthwise = tf.reshape(torch, [1, -1, torch.shape[0]!, 1]);
        expect(ops.fakeQuantizeFilter(depthwise, { depthwise: true }).shape).toEqual(depthwise.shape);
      }
      const gradient = tf.grad((each) => ops.fakeQuantizeFilter(each))(
        tf.tensor2d([1, 2, 3, 4], [2, 2]),
        tf.ones([2, 2]),
      );
      expect([...gradient.dataSync()]).toEqual([1, 1, 1, 1]);
    });
  });

  it("is nothing in a range of nothing", () => {
    const found = tf.tidy(() => ops.fakeQuantize(tf.tensor1d([1, -2]), () => tf.zeros([2])).dataSync());
    for (const each of found) expect(each).toBeCloseTo(0, 4);
  });
});
