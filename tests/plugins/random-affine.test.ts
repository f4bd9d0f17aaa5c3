import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randomAffine } from "../../plugins/random-affine/index.js";
import { describeAugmentation, ramp, streamOf, tally } from "../support/augmentation.js";

describeAugmentation(randomAffine({ translate: 0.1, shear: [-5, 5] }));

describe("random-affine", () => {
  it("is torchvision's draw and map, in one resampling", () => {
    const settings = {
      degrees: [-30, 30],
      scale: [0.8, 1.2],
      translate: [0.2, 0.2],
      shear: [-3, 3],
    } as const;
    const { call } = mountPlugin(randomAffine({ translate: 0.2, shear: [-3, 3], fill: [9, 8, 7] }));
    for (let index = 0; index < 20; index++) {
      const rng = streamOf("random-affine", 0, index);
      rng.chance(1);
      const drawn = image.randomAffineDraw(rng, settings, ramp(index));
      const expected = image.affine(ramp(index), drawn, { interpolation: "bilinear", fill: [9, 8, 7] });
      expect(call.beforeSample(ramp(index), 0).pixels).toEqual(expected.pixels);
    }
  });

  it("turns both ways equally often, and moves the share that was asked for", () => {
    const { call } = mountPlugin(
      randomAffine({ probability: 0.5, degrees: [-30, 30], scale: [1, 1], interpolation: "nearest" }),
    );
    const counts = tally(2000, (index) => {
      const sample = ramp(index);
      const next = call.beforeSample(sample, 0);
      if (next === sample) return "still";
      // Clockwise, the middle of the upper edge comes from the left, where red is low.
      const red = next.pixels[3 * (16 * 4 + 8)]!;
      return red < 40 + 9 * 8 ? "clockwise" : red > 40 + 9 * 8 ? "counter-clockwise" : "hardly";
    });
    expect(Math.abs(counts.get("still")! - 1000)).toBeLessThan(90);
    expect(Math.abs(counts.get("clockwise")! - counts.get("counter-clockwise")!)).toBeLessThan(200);
    expect(counts.get("clockwise")!).toBeGreaterThan(300);
  });

  it("refuses ranges that run backwards or a scale of nothing", () => {
    expect(() => makePart(randomAffine({ degrees: [30, -30] }))).toThrow('"degrees" expected [low, high]');
    expect(() => makePart(randomAffine({ scale: [0, 1] }))).toThrow('"scale" expected a lower bound above 0');
  });
});
