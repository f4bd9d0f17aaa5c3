import { type Given, loadBackend, type Plugin, type Sample } from "fitloop";
import { fitWeights, microConfig, mountPlugin } from "fitloop/testing";
import { beforeAll, expect, it } from "vitest";
import { gray, randomGray } from "./random-gray.js";

beforeAll(async () => void (await loadBackend()));

/** One red and one white pixel. */
const sample = (index: number): Sample => ({
  pixels: Uint8Array.from([255, 0, 0, 255, 255, 255]),
  height: 1,
  width: 2,
  label: 1,
  index,
});

it("gives each channel the luma, and leaves its argument alone", () => {
  const red = sample(0);
  expect([...gray(red).pixels]).toEqual([76, 76, 76, 255, 255, 255]);
  expect(red).toEqual(sample(0));
});

it("turns its share of images gray, the same ones every time", () => {
  const { call } = mountPlugin(randomGray({ probability: 0.2 }));
  const grays = (): number[] =>
    Array.from({ length: 1000 }, (_, index) => index).filter(
      (index) => call.beforeSample(sample(index), 0).pixels[1] === 76,
    );
  expect(Math.abs(grays().length - 200)).toBeLessThan(50); // four standard deviations
  expect(grays()).toEqual(grays());
});

it("trains, gives the same bits twice, and does nothing at probability 0", async () => {
  const hashOf = async (...plugins: Given<Plugin>[]): Promise<string> =>
    (await fitWeights(microConfig({ plugins }))).hash;
  const without = await hashOf();
  expect(await hashOf(randomGray({ probability: 0 }))).toBe(without);
  const trained = await hashOf(randomGray());
  expect(trained).not.toBe(without);
  expect(await hashOf(randomGray())).toBe(trained);
});

it("refuses a share above 1", () => {
  expect(() => mountPlugin(randomGray({ probability: 2 }))).toThrow(/probability/);
});
