/** The smallest network with everything a plugin may touch: a norm, a residual branch, a head, statistics. */
import { z } from "zod";
import { type Layer, run } from "../nn/layer.js";
import { append, batchNorm, conv2d, identity, linear } from "../nn/layers.js";
import type { ModelSource } from "../nn/model.js";
import * as ops from "../nn/ops.js";
import { partFactory } from "../parts.js";

const microNetOptions = z.strictObject({
  width: z.int().positive().default(16).describe("channels everywhere"),
  norm: z.boolean().default(true).describe("batch norm; without it a batch is the sum of its images"),
});

/** A convolution, one residual block, a classifier: about 3,000 parameters, a millisecond a step at 8 pixels. */
export const microNet = partFactory("model", "micro-net", microNetOptions, (options): ModelSource => {
  const { width, norm } = options;
  return {
    name: "micro-net",
    options,
    build({ classes, buildBlock, buildHead }) {
      const convolution = conv2d({ in: width, out: width, kernel: 3 });
      const plain: Layer = {
        kind: "micro-branch",
        parts: { conv: convolution },
        forward: (x, pass) => run(plain, "conv", x, pass),
      };
      const normed = norm ? append(plain, "bn", batchNorm(width)) : plain;
      const branch = buildBlock(normed, { name: "block", index: 0, count: 1, channels: width });
      const block: Layer = {
        ...branch,
        kind: "micro-block",
        forward: (x, pass) => ops.add(branch.forward(x, pass), x),
      };
      const layer: Layer = {
        kind: "micro-net",
        parts: {
          stem: conv2d({ in: 3, out: width, kernel: 3, stride: 2 }),
          block,
          head: buildHead(identity, { features: width, classes }),
          fc: linear(width, classes),
        },
        forward(x, pass) {
          const maps = ops.relu(run(layer, "block", ops.relu(run(layer, "stem", x, pass)), pass));
          return run(layer, "fc", run(layer, "head", ops.globalAveragePool(maps), pass), pass);
        },
      };
      return { layer, stages: [["stem"], ["block"], ["head", "fc"]], features: "block" };
    },
  };
});
