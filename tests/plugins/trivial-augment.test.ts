import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { trivialAugment } from "../../plugins/trivial-augment/index.js";
import { describeAugmentation, ramp, streamOf } from "../support/augmentation.js";

const sampling = { fill: [128, 128, 128], interpolation: "bilinear" } as const;
const fill: [number, number, number] = [128, 128, 128];

describeAugmentation(trivialAugment());

describe("trivial-augment", () => {
  it("applies what core draws, with the requested sampling", () => {
    const { call } = mountPlugin(trivialAugment({ fill, interpolation: "bilinear" }));
    for (let index = 0; index < 60; index++) {
      const sample = ramp(index);
      const rng = streamOf("trivial-augment", 0, index);
      rng.chance(1);
      const steps = image.trivialAugmentDraw(rng, sample);
      expect(call.beforeSample(sample, 0).pixels).toEqual(image.applySteps(sample, steps, sampling).pixels);
    }
  });
});
