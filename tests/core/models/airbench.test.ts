/** First weights of the airbench networks. */
import { expect, it } from "vitest";
import { airbench } from "../../../core/models/index.js";
import { namedParameters } from "../../../core/nn/layer.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";
import { plain } from "../../support/golden-networks.js";

/** The first kernel of the second group, [3, 3, 64, 256]. */
function firstKernel(initial?: "identity" | "uniform"): Float32Array {
  const { layer } = makePart(airbench({ initial })).build(plain(10));
  const { initial: values } = namedParameters(layer).get("group2.conv1.weight")!;
  return (values as (random: ReturnType<typeof stream>) => Float32Array)(stream(1, "kernel"));
}

const [channels, filters, bound] = [64, 256, 1 / Math.sqrt(9 * 64)];
it("the first filters copy one channel each, the others are PyTorch's uniform draw", () => {
  const kernel = firstKernel();
  const copies = Float32Array.from({ length: 9 * channels * channels }, (_, index) => {
    const [place, channel, filter] = [
      Math.floor(index / channels ** 2),
      Math.floor(index / channels) % channels,
      index % channels,
    ];
    return Number(place === 4 && channel === filter);
  });
  expect(kernel.filter((_, index) => index % filters < channels)).toEqual(copies);
  const others = kernel.filter((_, index) => index % filters >= channels);
  expect(Math.max(...others)).toBeGreaterThan(0.99 * bound);
  expect(others.every((value) => Math.abs(value) <= bound)).toBe(true);
});

it("with initial: uniform no filter copies a channel", () => {
  const kernel = firstKernel("uniform");
  expect(kernel.every((value) => Math.abs(value) <= bound)).toBe(true);
  expect(kernel.filter((value) => value === 0).length).toBeLessThan(10);
});
