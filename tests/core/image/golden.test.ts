/**
 * Every operation against torchvision's result on four small images (tests/golden/image/generate.py made
 * them).
 *
 * All are equal byte for byte, except where an interpolation is rounded: hue, and bilinear sampling. There a
 * value may be off by one, in a share of bytes stated below.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Image } from "../../../core/data/dataset.js";
import {
  applyOperation,
  autoAugmentSpace,
  cifar10Policy,
  magnitudeAt,
  type Operation,
  randAugmentSpace,
  trivialAugmentSpace,
} from "../../../core/image/auto-augment.js";
import * as color from "../../../core/image/color.js";
import * as geometry from "../../../core/image/geometry.js";

interface Golden {
  images: { name: string; height: number; width: number }[];
  policy: [string, number, number | null][][];
  tables: Record<string, { bins: number; operations: Record<string, { signed: boolean; magnitudes: number[] }> }>;
  cases: { function: string; arguments: unknown[] }[];
}

const folder = new URL("../../golden/image/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("golden.json", folder), "utf8")) as Golden;
const blob = gunzipSync(readFileSync(new URL("golden.bin.gz", folder)));
let position = 0;
const take = (length: number): Uint8Array => blob.subarray(position, (position += length));
const images = golden.images.map(({ name, height, width }) => ({
  name,
  image: { pixels: take(height * width * 3), height, width },
}));
const operations = { ...color, ...geometry, applyOperation } as unknown as Record<
  string,
  (image: Image, ...parameters: unknown[]) => Image
>;

/** Largest difference in grey levels, and share of bytes that differ, allowed for a case. */
function allowed(name: string, parameters: readonly unknown[]): { difference: number; share: number } {
  if (name === "hue") return { difference: 1, share: 0.0006 };
  const bilinear = parameters.some((parameter) => JSON.stringify(parameter)?.includes("bilinear"));
  return bilinear ? { difference: 1, share: 0.022 } : { difference: 0, share: 0 };
}

/** A long list stands for bytes. */
const toBytes = (value: unknown): unknown =>
  Array.isArray(value) && value.length > 3 ? Uint8Array.from(value as number[]) : value;

const cases = golden.cases.map(({ function: name, arguments: parameters }) => ({
  title: `${name} ${JSON.stringify(parameters).slice(0, 90)}`,
  name,
  parameters,
  results: images.map(({ name: title, image }) => {
    const result = operations[name]!(image, ...parameters.map(toBytes));
    return { title, result, expected: take(result.pixels.length) };
  }),
}));

test("the golden file is used up", () => {
  expect(cases.length).toBeGreaterThan(80);
  expect(position).toBe(blob.length);
});

describe("operations equal torchvision's", () => {
  test.each(cases)("$title", ({ name, parameters, results }) => {
    const limit = allowed(name, parameters);
    for (const { title, result, expected } of results) {
      let largest = 0;
      let differing = 0;
      for (let index = 0; index < expected.length; index++) {
        const difference = Math.abs(expected[index]! - result.pixels[index]!);
        largest = Math.max(largest, difference);
        if (difference > 0) differing++;
      }
      expect(largest, `largest difference on ${title}`).toBeLessThanOrEqual(limit.difference);
      expect(differing / expected.length, `share that differs on ${title}`).toBeLessThanOrEqual(limit.share);
    }
  });
});

describe("tables equal torchvision's", () => {
  test("the 25 sub-policies of CIFAR-10", () => {
    const levelled = new Set(["AutoContrast", "Equalize", "Invert"]);
    const ours = cifar10Policy.map((steps) =>
      steps.map(([op, probability, level]) => [op, probability, levelled.has(op) ? null : level]),
    );
    expect(ours).toEqual(golden.policy);
  });

  const spaces = {
    autoAugment: autoAugmentSpace,
    randAugment: randAugmentSpace,
    trivialAugment: trivialAugmentSpace,
  };
  test.each(Object.entries(spaces))("magnitudes of %s, to the last bit", (name, space) => {
    const { bins, operations: expected } = golden.tables[name]!;
    expect(Object.keys(space).sort()).toEqual(Object.keys(expected).sort());
    for (const [op, { signed, magnitudes }] of Object.entries(expected)) {
      const ours = magnitudes.map((_, level) =>
        magnitudeAt(space, op as Operation, level, bins, { height: 16, width: 40 }),
      );
      expect(ours, op).toEqual(magnitudes);
      expect(space[op as Operation]!.signed, op).toBe(signed);
    }
  });
});
