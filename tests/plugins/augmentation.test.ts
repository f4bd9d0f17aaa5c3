import { describe, expect, it } from "vitest";
import { type Data, image, type Plugin, type Run, type Sample, stream } from "../../core/index.js";
import { type Mounted, mountPlugin } from "../../core/testing/index.js";
import {
  autoAugment,
  colorJitter,
  randAugment,
  randomAffine,
  randomCropFlip,
  randomErasing,
  trivialAugment,
} from "../../plugins/index.js";

/**
 * Red rises along the row, green down the column, blue both: no operation but identity leaves it the same.
 */
function picture(index: number, size = 16): Sample {
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) pixels.set([40 + 9 * x, 50 + 8 * y, 30 + 4 * (x + y)], 3 * (y * size + x));
  }
  return { pixels, height: size, width: size, label: 3, index };
}

/** What a tap's stream is: named after plugin and hook, keyed by epoch and sample. */
const streamOf = (plugin: string, epoch: number, index: number) => stream(1, `${plugin}/beforeSample`, epoch, index);

/** How often each outcome came up in `count` pictures. */
function tally(count: number, outcome: (index: number) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const key = outcome(index);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

const all: [string, Plugin][] = [
  ["auto-augment", autoAugment()],
  ["color-jitter", colorJitter({ hue: 0.1 })],
  ["rand-augment", randAugment()],
  ["random-affine", randomAffine({ translate: 0.1, shear: [-5, 5] })],
  ["random-erasing", randomErasing({ value: "noise" })],
  ["trivial-augment", trivialAugment()],
];

describe.each(all)("%s", (_, plugin) => {
  it("is a function of seed, epoch and sample; keeps label, index, size and its argument", () => {
    const { call } = mountPlugin(plugin);
    const other = mountPlugin(plugin, { config: { seed: 2 } });
    const differs = { epoch: 0, sample: 0, seed: 0 };
    for (let index = 0; index < 40; index++) {
      const sample = picture(index);
      const first = call.beforeSample(sample, 0);
      expect(sample).toEqual(picture(index));
      expect(first).toMatchObject({ label: 3, index, height: 16, width: 16 });
      expect(call.beforeSample(sample, 0).pixels).toEqual(first.pixels);
      differs.epoch += Number(String(call.beforeSample(sample, 1).pixels) !== String(first.pixels));
      differs.sample += Number(String(call.beforeSample(picture(index + 1), 0).pixels) !== String(first.pixels));
      differs.seed += Number(String(other.call.beforeSample(sample, 0).pixels) !== String(first.pixels));
    }
    expect(Math.min(...Object.values(differs))).toBeGreaterThan(20);
  });

  it("draws the same whichever plugins are around it", () => {
    const alone = mountPlugin(plugin).call.beforeSample(picture(5), 2);
    const neutral = randomCropFlip({ padding: 0, flip: 0 });
    const beside = mountPlugin(plugin, { config: { plugins: [neutral] } }).call.beforeSample(picture(5), 2);
    expect(beside.pixels).toEqual(alone.pixels);
  });
});

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
      const drawn = image.randomAffineDraw(rng, settings, picture(index));
      const expected = image.affine(picture(index), drawn, { interpolation: "bilinear", fill: [9, 8, 7] });
      expect(call.beforeSample(picture(index), 0).pixels).toEqual(expected.pixels);
    }
  });

  it("turns both ways equally often, and moves the share that was asked for", () => {
    const { call } = mountPlugin(
      randomAffine({ probability: 0.5, degrees: [-30, 30], scale: [1, 1], interpolation: "nearest" }),
    );
    const counts = tally(2000, (index) => {
      const sample = picture(index);
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
    expect(() => randomAffine({ degrees: [30, -30] })).toThrow('"degrees" must be [low, high]');
    expect(() => randomAffine({ scale: [0, 1] })).toThrow('"scale" must be above 0');
  });
});

describe("color-jitter", () => {
  it("keeps brightness factors in [1 - x, 1 + x], on both sides alike", () => {
    const { call } = mountPlugin(colorJitter({ brightness: 0.2, contrast: 0, saturation: 0 }));
    const flat = { ...picture(0), pixels: new Uint8Array(16 * 16 * 3).fill(100) };
    const values = Array.from({ length: 2000 }, (_, index) => call.beforeSample({ ...flat, index }, 0).pixels[0]!);
    expect(Math.min(...values)).toBe(80);
    expect(Math.max(...values)).toBeGreaterThanOrEqual(119);
    expect(Math.abs(values.reduce((sum, value) => sum + value) / 2000 - 99.5)).toBeLessThan(1.5);
  });
});

describe("random-erasing", () => {
  const started = async (options: Parameters<typeof randomErasing>[0]): Promise<Mounted> => {
    const mounted = mountPlugin(randomErasing(options));
    await mounted.call.onFitStart({ data: { mean: [0.5, 0.25, 1] } as unknown as Data } as Run);
    return mounted;
  };

  it("paints a rectangle of the data's mean, in its share of pictures and of the area", async () => {
    const { call } = await started({ probability: 0.5 });
    let erased = 0;
    let area = 0;
    for (let index = 0; index < 1000; index++) {
      const sample = picture(index, 32);
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
    const colour = (await started({ probability: 1, value: [1, 2, 3] })).call.beforeSample(picture(0), 0);
    expect(String(colour.pixels)).toContain("1,2,3,1,2,3");
    const noise = (await started({ probability: 1, value: "noise" })).call.beforeSample(picture(0), 0);
    const changed = noise.pixels.filter((value, at) => value !== picture(0).pixels[at]);
    expect(new Set(changed).size).toBeGreaterThan(changed.length / 4);
    const { taps } = mountPlugin(randomAffine(), { config: { plugins: [randomErasing()] } });
    const order = taps.filter(({ hook }) => hook === "beforeSample").map(({ plugin }) => plugin);
    expect(order).toEqual(["random-affine", "random-erasing"]);
  });
});

describe("policies", () => {
  const sampling = { fill: [128, 128, 128], interpolation: "bilinear" } as const;
  const fill: [number, number, number] = [128, 128, 128];

  it("apply what core draws, with the sampling that was asked for", () => {
    const auto = mountPlugin(autoAugment({ fill, interpolation: "bilinear" })).call;
    const rand = mountPlugin(randAugment({ fill, interpolation: "bilinear", operations: 3, level: 20 })).call;
    const trivial = mountPlugin(trivialAugment({ fill, interpolation: "bilinear" })).call;
    for (let index = 0; index < 60; index++) {
      const sample = picture(index);
      const gated = (plugin: string) => {
        const rng = streamOf(plugin, 0, index);
        rng.chance(1);
        return rng;
      };
      const expected = {
        auto: image.autoAugmentDraw(gated("auto-augment"), sample),
        rand: image.randAugmentDraw(streamOf("rand-augment", 0, index), sample, { operations: 3, level: 20 }),
        trivial: image.trivialAugmentDraw(gated("trivial-augment"), sample),
      };
      expect(auto.beforeSample(sample, 0).pixels).toEqual(image.applySteps(sample, expected.auto, sampling).pixels);
      expect(rand.beforeSample(sample, 0).pixels).toEqual(image.applySteps(sample, expected.rand, sampling).pixels);
      expect(trivial.beforeSample(sample, 0).pixels).toEqual(
        image.applySteps(sample, expected.trivial, sampling).pixels,
      );
    }
  });

  it("use each of the 25 pairs, and turn both ways", () => {
    const rng = stream(1, "policy test");
    let [left, right] = [0, 0];
    for (let draw = 0; draw < 5000; draw++) {
      for (const { op, magnitude } of image.autoAugmentDraw(rng, picture(0))) {
        if (op === "Rotate") magnitude < 0 ? left++ : right++;
      }
    }
    // Rotate fires in 0.7 of one pair in 25.
    expect(Math.abs(left + right - 140)).toBeLessThan(50);
    expect(Math.min(left, right)).toBeGreaterThan(40);
  });

  it("are one to a run", () => {
    const mount = () => mountPlugin(autoAugment(), { config: { plugins: [randAugment()] } });
    expect(mount).toThrow('Plugins "rand-augment" and "auto-augment" both set the policy. Remove one of them.');
  });
});
