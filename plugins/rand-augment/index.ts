/** RandAugment (Cubuk et al. 2020): a few random operations of one strength for each picture. */
import { z } from "zod";
import { definePlugin, image } from "../../core/index.js";

const byte = z.int().min(0).max(255);

const options = z.strictObject({
  operations: z.int().min(0).default(2).describe("operations a picture, one after another"),
  level: z.int().min(0).max(30).default(9).describe("strength of all of them, 0 to 30"),
  fill: z.tuple([byte, byte, byte]).optional().describe("what comes in from outside, R G B; black when left out"),
  interpolation: z.enum(["nearest", "bilinear"]).default("nearest").describe("for turns and slants"),
});

export const randAugment = definePlugin({
  name: "rand-augment",
  summary: "Changes each training picture by a few random operations of one strength",
  options,
  slot: "policy",
  apply({ operations, level, fill, interpolation }, { hooks }) {
    hooks.beforeSample.tap((sample, rng) => {
      const steps = image.randAugmentDraw(rng, sample, { operations, level });
      return { ...sample, ...image.applySteps(sample, steps, { fill, interpolation }) };
    });
  },
});
