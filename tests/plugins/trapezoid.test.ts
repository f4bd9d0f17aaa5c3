import { describe, expect, it } from "vitest";
import { mountPlugin } from "../../core/testing/index.js";
import { trapezoid, trapezoidRate } from "../../plugins/trapezoid/index.js";
import { expectRates, golden } from "../support/golden-schedules.js";

const { peak } = golden;

describe("trapezoid", () => {
  it.each(golden.trapezoid)("is PyTorch's: $rising steps up, $falling of $steps down", (each) => {
    const { steps, rising, falling, end, rates } = each;
    const shape = { warmUp: rising / steps, coolDown: falling / steps, end };
    expectRates(
      rates.map((_, step) => trapezoidRate(step, steps, peak, shape)),
      rates,
    );
  });

  it("may have neither slope", () => {
    expect(trapezoidRate(0, 10, 1, { warmUp: 0, coolDown: 0, end: 0 })).toBe(1);
    expect(trapezoidRate(9, 10, 1, { warmUp: 0, coolDown: 0, end: 0 })).toBe(1);
  });

  it("refuses slopes that overlap", () => {
    expect(() => mountPlugin(trapezoid({ warmUp: 0.6, coolDown: 0.5 }))).toThrow(
      "trapezoid: expected warmUp + coolDown of at most 1, got 0.6 + 0.5. Lower one of them.",
    );
  });
});
