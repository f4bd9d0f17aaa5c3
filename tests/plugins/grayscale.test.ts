import { describe, expect, it } from "vitest";
import { image } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { grayscale } from "../../plugins/grayscale/index.js";
import { ramp, tally } from "../support/augmentation.js";

describe("grayscale", () => {
  it("turns the share that was asked for grey, as the image operation does", () => {
    const { call } = mountPlugin(grayscale({ probability: 0.3 }));
    const counts = tally(2000, (index) => {
      const before = ramp(index);
      const next = call.beforeSample(before, 0);
      if (Buffer.compare(next.pixels, before.pixels) === 0) return "colour";
      return Buffer.compare(next.pixels, image.grayscale(before).pixels) === 0 ? "grey" : "neither";
    });
    expect(Math.abs(counts.get("grey")! - 600)).toBeLessThan(80);
    expect(counts.get("grey")! + counts.get("colour")!).toBe(2000);
  });

  it("is a function of seed, epoch and sample", () => {
    const greyOf = (seed: number, epoch: number): string => {
      const { call } = mountPlugin(grayscale({ probability: 0.5 }), { config: { seed } });
      return Array.from({ length: 40 }, (_, index) => {
        const { pixels } = call.beforeSample(ramp(index), epoch);
        return pixels[0] === pixels[1] ? "1" : "0";
      }).join("");
    };
    expect(greyOf(1, 0)).toBe(greyOf(1, 0));
    expect(new Set([greyOf(1, 0), greyOf(1, 1), greyOf(2, 0)]).size).toBe(3);
  });
});
