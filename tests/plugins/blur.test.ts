import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { mountPlugin } from "../../core/testing/index.js";
import { blur, fittingSize } from "../../plugins/blur/index.js";
import { describeAugmentation, ramp, streamOf } from "../support/augmentation.js";

describeAugmentation(blur({ probability: 0.8, sigma: [0.8, 2] }));

describe("blur", () => {
  it("is a Gaussian whose width is uniform in its range", () => {
    const { call } = mountPlugin(blur({ probability: 1, size: 5, sigma: [0.5, 1.5] }));
    for (let index = 0; index < 10; index++) {
      const rng = streamOf("blur", 3, index);
      rng.chance(1);
      const expected = image.gaussianBlur(ramp(index), rng.range(0.5, 1.5), 5);
      expect(call.beforeSample(ramp(index), 3).pixels).toEqual(expected.pixels);
    }
  });

  it("takes a smaller kernel where the mirrored border would have no pixels", () => {
    expect(fittingSize(23, { height: 8, width: 40 })).toBe(15);
    expect(fittingSize(5, { height: 8, width: 40 })).toBe(5);
  });

  it("refuses an even kernel", () => {
    expect(() => makePart(blur({ size: 4 }))).toThrow("expected an odd number of pixels");
  });
});
