/** What every plugin keeps to that changes single images, and the means to look at one. */

import { describe, expect, it } from "vitest";
import { type Plugin, type Sample, stream } from "../../core/index.js";
import type { Given } from "../../core/parts.js";
import { mountPlugin } from "../../core/testing/index.js";
import { randomCropFlip } from "../../plugins/random-crop-flip/index.js";

/**
 * Red rises along the row, green down the column, blue both: no operation but identity leaves it the same.
 */
export function ramp(index: number, size = 16): Sample {
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) pixels.set([40 + 9 * x, 50 + 8 * y, 30 + 4 * (x + y)], 3 * (y * size + x));
  }
  return { pixels, height: size, width: size, label: 3, index };
}

/** What a tap's stream is: named after plugin and hook, keyed by epoch and sample. */
export const streamOf = (plugin: string, epoch: number, index: number) =>
  stream(1, `${plugin}/beforeSample`, epoch, index);

/** How often each outcome came up in `count` images. */
export function tally(count: number, outcome: (index: number) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const key = outcome(index);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Registers the tests that each augmentation must pass. */
export function describeAugmentation(plugin: Given<Plugin>): void {
  describe(`${plugin.name}, as every augmentation,`, () => {
    it("is a function of seed, epoch and sample; keeps label, index, size and its argument", () => {
      const { call } = mountPlugin(plugin);
      const other = mountPlugin(plugin, { config: { seed: 2 } });
      const differs = { epoch: 0, sample: 0, seed: 0 };
      for (let index = 0; index < 40; index++) {
        const sample = ramp(index);
        const first = call.beforeSample(sample, 0);
        expect(sample).toEqual(ramp(index));
        expect(first).toMatchObject({ label: 3, index, height: 16, width: 16 });
        expect(call.beforeSample(sample, 0).pixels).toEqual(first.pixels);
        differs.epoch += Number(String(call.beforeSample(sample, 1).pixels) !== String(first.pixels));
        differs.sample += Number(String(call.beforeSample(ramp(index + 1), 0).pixels) !== String(first.pixels));
        differs.seed += Number(String(other.call.beforeSample(sample, 0).pixels) !== String(first.pixels));
      }
      expect(Math.min(...Object.values(differs))).toBeGreaterThan(20);
    });

    it("draws the same whichever plugins are around it", () => {
      const alone = mountPlugin(plugin).call.beforeSample(ramp(5), 2);
      const neutral = randomCropFlip({ padding: 0, flip: 0 });
      const beside = mountPlugin(plugin, { config: { plugins: [neutral] } }).call.beforeSample(ramp(5), 2);
      expect(beside.pixels).toEqual(alone.pixels);
    });
  });
}
