import { describe, expect, it } from "vitest";
import { image, stream } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { autoAugment } from "../../plugins/auto-augment/index.js";
import { randAugment } from "../../plugins/rand-augment/index.js";
import { describeAugmentation, ramp, streamOf } from "../support/augmentation.js";

const sampling = { fill: [128, 128, 128], interpolation: "bilinear" } as const;
const fill: [number, number, number] = [128, 128, 128];

describeAugmentation(autoAugment());

describe("auto-augment", () => {
  it("applies what core draws, with the requested sampling", () => {
    const { call } = mountPlugin(autoAugment({ fill, interpolation: "bilinear" }));
    for (let index = 0; index < 60; index++) {
      const sample = ramp(index);
      const rng = streamOf("auto-augment", 0, index);
      rng.chance(1);
      const steps = image.autoAugmentDraw(rng, sample);
      expect(call.beforeSample(sample, 0).pixels).toEqual(image.applySteps(sample, steps, sampling).pixels);
    }
  });

  it("uses each of the 25 pairs, and rotates both ways", () => {
    const rng = stream(1, "policy test");
    let [left, right] = [0, 0];
    for (let draw = 0; draw < 5000; draw++) {
      for (const { op, magnitude } of image.autoAugmentDraw(rng, ramp(0))) {
        if (op === "Rotate") magnitude < 0 ? left++ : right++;
      }
    }
    // Rotate fires in 0.7 of one pair in 25.
    expect(Math.abs(left + right - 140)).toBeLessThan(50);
    expect(Math.min(left, right)).toBeGreaterThan(40);
  });

  it("is the only policy of a run", () => {
    const mount = () => mountPlugin(autoAugment(), { config: { plugins: [randAugment()] } });
    expect(mount).toThrow('Plugins "rand-augment" and "auto-augment" both set the policy. Remove one of them.');
  });
});
