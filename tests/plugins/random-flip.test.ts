import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randomFlip } from "../../plugins/random-flip/index.js";
import { describeAugmentation, ramp, tally } from "../support/augmentation.js";

describeAugmentation(randomFlip({ vertical: 0.5 }));

describe("random-flip", () => {
  it("flips each way as often as it is asked to, independently", () => {
    const { call } = mountPlugin(randomFlip({ horizontal: 0.5, vertical: 0.25 }));
    const counts = tally(2000, (index) => {
      const { pixels } = call.beforeSample(ramp(index), 0);
      return `${pixels[0]! > 40 ? "mirrored" : "as it was"}, ${pixels[1]! > 50 ? "upside down" : "upright"}`;
    });
    expect(Math.abs(counts.get("mirrored, upright")! - 750)).toBeLessThan(90);
    expect(Math.abs(counts.get("as it was, upright")! - 750)).toBeLessThan(90);
    expect(Math.abs(counts.get("mirrored, upside down")! - 250)).toBeLessThan(60);
  });

  it("is the image read backwards", () => {
    const both = mountPlugin(randomFlip({ horizontal: 1, vertical: 1 })).call.beforeSample(ramp(0), 0);
    const turned = image.flipVertical(image.flipHorizontal(ramp(0)));
    expect(both.pixels).toEqual(turned.pixels);
    const pixel = (of: Uint8Array, at: number): number[] => [...of.subarray(3 * at, 3 * at + 3)];
    for (let at = 0; at < 256; at++) expect(pixel(both.pixels, at)).toEqual(pixel(ramp(0).pixels, 255 - at));
  });
});
