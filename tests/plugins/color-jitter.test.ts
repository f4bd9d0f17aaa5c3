import { describe, expect, it } from "vitest";
import { mountPlugin } from "../../core/testing/index.js";
import { colorJitter } from "../../plugins/color-jitter/index.js";
import { describeAugmentation, ramp } from "../support/augmentation.js";

describeAugmentation(colorJitter({ hue: 0.1 }));

describe("color-jitter", () => {
  it("keeps brightness factors in [1 - x, 1 + x], on both sides alike", () => {
    const { call } = mountPlugin(colorJitter({ brightness: 0.2, contrast: 0, saturation: 0 }));
    const flat = { ...ramp(0), pixels: new Uint8Array(16 * 16 * 3).fill(100) };
    const values = Array.from({ length: 2000 }, (_, index) => call.beforeSample({ ...flat, index }, 0).pixels[0]!);
    expect(Math.min(...values)).toBe(80);
    expect(Math.max(...values)).toBeGreaterThanOrEqual(119);
    expect(Math.abs(values.reduce((sum, value) => sum + value) / 2000 - 99.5)).toBeLessThan(1.5);
  });
});
