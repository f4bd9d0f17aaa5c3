import { describe, expect, it } from "vitest";
import type { Data, FitContext } from "../../core/index.js";
import { type Mounted, mountPlugin } from "../../core/testing/index.js";
import { randomAffine } from "../../plugins/random-affine/index.js";
import { randomErasing } from "../../plugins/random-erasing/index.js";
import { describeAugmentation, ramp } from "../support/augmentation.js";

describeAugmentation(randomErasing({ value: "noise" }));

describe("random-erasing", () => {
  const started = async (options: Parameters<typeof randomErasing>[0]): Promise<Mounted> => {
    const mounted = mountPlugin(randomErasing(options));
    await mounted.call.onFitStart({ data: { mean: [0.5, 0.25, 1] } as unknown as Data } as FitContext);
    return mounted;
  };

  it("paints a rectangle of the data's mean, in its share of images and of the area", async () => {
    const { call } = await started({ probability: 0.5 });
    let erased = 0;
    let area = 0;
    for (let index = 0; index < 1000; index++) {
      const sample = ramp(index, 32);
      const next = call.beforeSample(sample, 0);
      if (next === sample) continue;
      erased++;
      let [top, left, bottom, right, count] = [32, 32, 0, 0, 0];
      for (let at = 0; at < 32 * 32; at++) {
        if (next.pixels[3 * at] !== 128 || next.pixels[3 * at + 1] !== 64 || next.pixels[3 * at + 2] !== 255) continue;
        const [y, x] = [Math.floor(at / 32), at % 32];
        [top, left, bottom, right, count] = [
          Math.min(top, y),
          Math.min(left, x),
          Math.max(bottom, y + 1),
          Math.max(right, x + 1),
          count + 1,
        ];
      }
      expect(count).toBe((bottom - top) * (right - left));
      area += count / 1024;
    }
    expect(Math.abs(erased - 500)).toBeLessThan(80);
    expect(Math.abs(area / erased - 0.17)).toBeLessThan(0.02);
  });

  it("fills with a colour or noise when told, and comes after every other change", async () => {
    const colour = (await started({ probability: 1, value: [1, 2, 3] })).call.beforeSample(ramp(0), 0);
    expect(String(colour.pixels)).toContain("1,2,3,1,2,3");
    const noise = (await started({ probability: 1, value: "noise" })).call.beforeSample(ramp(0), 0);
    const changed = noise.pixels.filter((value, at) => value !== ramp(0).pixels[at]);
    expect(new Set(changed).size).toBeGreaterThan(changed.length / 4);
    const { taps } = mountPlugin(randomAffine(), { config: { plugins: [randomErasing()] } });
    const order = taps.filter(({ hook }) => hook === "beforeSample").map(({ plugin }) => plugin);
    expect(order).toEqual(["random-affine", "random-erasing"]);
  });
});
