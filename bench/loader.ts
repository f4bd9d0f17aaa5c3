/**
 * What the loader costs a step: milliseconds of processor time for a batch of 128 pictures of 32 x 32.
 *
 *     npx tsx bench/loader.ts
 *
 * The fastest step of that batch on two cores takes 160 ms, and the loader may take 4 of them. Processor
 * time, since a busy machine stretches the other.
 */

import { createLoader, memorySplit, type Sample } from "../core/data/index.js";
import { stream } from "../core/rng.js";

const side = 32;
const count = 12_800;
const pixels = Uint8Array.from({ length: count * side * side * 3 }, (_, at) => (at * 31) & 255);
const labels = Uint16Array.from({ length: count }, (_, at) => at % 100);
const split = memorySplit([{ name: "bench", pixels, labels }], side, side);
const statistics = { mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25] } as const;

/** Shifts by up to 4 pixels over black and mirrors half of the pictures: the usual augmentation of CIFAR. */
function cropAndFlip(sample: Sample, epoch: number): Sample {
  const rng = stream(1, "crop-flip", epoch, sample.index);
  const top = rng.int(9) - 4;
  const left = rng.int(9) - 4;
  const mirrored = rng.chance(0.5);
  const out = new Uint8Array(sample.pixels.length);
  for (let row = Math.max(0, -top); row < Math.min(side, side - top); row++) {
    for (let column = Math.max(0, -left); column < Math.min(side, side - left); column++) {
      const from = ((row + top) * side + column + left) * 3;
      const to = (row * side + (mirrored ? side - 1 - column : column)) * 3;
      out[to] = sample.pixels[from]!;
      out[to + 1] = sample.pixels[from + 1]!;
      out[to + 2] = sample.pixels[from + 2]!;
    }
  }
  return { ...sample, pixels: out };
}

async function millisecondsPerBatch(transform?: typeof cropAndFlip): Promise<number> {
  const loader = createLoader({
    split, height: side, width: side, ...statistics, batchSize: 128, seed: 1, shuffle: true, transform,
  }); // prettier-ignore
  let best = Infinity;
  for (let epoch = 0; epoch < 5; epoch++) {
    const begin = process.cpuUsage();
    for await (const batch of loader.epoch(epoch)) if (Number.isNaN(batch.images[0])) throw new Error("NaN");
    const { user, system } = process.cpuUsage(begin);
    best = Math.min(best, (user + system) / 1000 / loader.batchesInEpoch);
  }
  return best;
}

console.log(`read, shuffle, normalise  ${(await millisecondsPerBatch()).toFixed(2)} ms a batch`);
console.log(`with crop and flip        ${(await millisecondsPerBatch(cropAndFlip)).toFixed(2)} ms a batch`);
