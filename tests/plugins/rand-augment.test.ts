import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randAugment } from "../../plugins/rand-augment/index.js";
import { describeAugmentation, ramp, streamOf } from "../support/augmentation.js";

const sampling = { fill: [128, 128, 128], interpolation: "bilinear" } as const;
const fill: [number, number, number] = [128, 128, 128];

describeAugmentation(randAugment());

describe("rand-augment", () => {
  it("applies what core draws, with the requested sampling", () => {
    const { call } = mountPlugin(randAugment({ fill, interpolation: "bilinear", operations: 3, level: 20 }));
    for (let index = 0; index < 60; index++) {
      const sample = ramp(index);
      const rng = streamOf("rand-augment", 0, index);
      const steps = image.randAugmentDraw(rng, sample, { operations: 3, level: 20 });
      expect(call.beforeSample(sample, 0).pixels).toEqual(image.applySteps(sample, steps, sampling).pixels);
    }
  });
});
