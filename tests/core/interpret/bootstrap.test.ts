import { expect, it } from "vitest";
import { bootstrap } from "../../../core/interpret/bootstrap.js";

const hits = Uint8Array.from({ length: 400 }, (_, at) => Number(at % 5 !== 0)); // a mean of 0.8
const mean = (places: Int32Array): number[] => [places.reduce((sum, place) => sum + hits[place]!, 0) / places.length];

it("gives the normal interval of a proportion", () => {
  const [interval] = bootstrap(hits.length, mean, { resamples: 4000 });
  const margin = 1.96 * Math.sqrt((0.8 * 0.2) / hits.length);
  expect(interval!.low).toBeCloseTo(0.8 - margin, 2);
  expect(interval!.high).toBeCloseTo(0.8 + margin, 2);
});

it("gives the same interval each time, another with another seed, a narrower one at a lower level", () => {
  const first = bootstrap(hits.length, mean);
  expect(bootstrap(hits.length, mean)).toEqual(first);
  expect(bootstrap(hits.length, mean, { seed: 2 })).not.toEqual(first);
  const [narrow] = bootstrap(hits.length, mean, { level: 0.5 });
  expect(narrow!.high - narrow!.low).toBeLessThan(0.5 * (first[0]!.high - first[0]!.low));
});

it("covers the truth about as often as it says", () => {
  // 200 samples of 60 fair coins from a fixed sequence; the interval of each, and whether it holds one half.
  let state = 12345;
  const coin = (): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 16) & 1;
  let covered = 0;
  for (let round = 0; round < 200; round++) {
    const coins = Array.from({ length: 60 }, coin);
    const share = (places: Int32Array): number[] => [places.reduce((sum, place) => sum + coins[place]!, 0) / 60];
    const [{ low, high }] = bootstrap(60, share, { resamples: 200, seed: round }) as [{ low: number; high: number }];
    if (low <= 0.5 && high >= 0.5) covered++;
  }
  expect(covered / 200).toBeGreaterThan(0.88);
  expect(covered / 200).toBeLessThan(0.99);
});
