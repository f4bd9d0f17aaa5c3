import { describe, expect, it } from "vitest";
import { image, stream } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randomResizedCrop } from "../../plugins/random-resized-crop/index.js";

const source = (index: number) => ({ height: 375, width: 500, label: 0, index });
const centre = { top: 0, left: 63, height: 375, width: 375 };

describe("random-resized-crop", () => {
  it("is torchvision's draw, a function of seed, epoch and sample", () => {
    const { call } = mountPlugin(randomResizedCrop({ scale: [0.35, 1] }));
    for (let index = 0; index < 20; index++) {
      const rng = stream(1, "random-resized-crop/resolveCrop", 4, index);
      const expected = image.randomResizedCropDraw(rng, source(index), { scale: [0.35, 1] });
      expect(call.resolveCrop(centre, source(index), 4)).toEqual(expected);
      expect(call.resolveCrop(centre, source(index), 5)).not.toEqual(expected);
    }
  });

  it("has areas and ratios over the whole of their ranges", () => {
    const { call } = mountPlugin(randomResizedCrop());
    const found = Array.from({ length: 500 }, (_, index) => call.resolveCrop(centre, source(index), 0));
    const areas = found.map(({ height, width }) => (height * width) / (375 * 500));
    const ratios = found.map(({ height, width }) => width / height);
    expect([Math.min(...areas) < 0.1, Math.max(...areas) > 0.9]).toEqual([true, true]);
    expect(Math.min(...areas)).toBeGreaterThan(0.078);
    expect([Math.min(...ratios) > 0.74, Math.max(...ratios) < 1.35]).toEqual([true, true]);
    const logs = ratios.map(Math.log);
    expect(Math.abs(logs.reduce((sum, each) => sum + each, 0) / 500)).toBeLessThan(0.04);
  });

  it("refuses a share above all of the image and ranges that run backwards", () => {
    expect(() => makePart(randomResizedCrop({ scale: [0.5, 2] }))).toThrow("expected [low, high], at most 1");
    expect(() => makePart(randomResizedCrop({ ratio: [2, 1] }))).toThrow("expected [low, high]");
  });
});
