import { describe, expect, it, vi } from "vitest";

import type { Image, Sample, Split } from "../../../core/data/dataset.js";
import { memorySplit } from "../../../core/data/in-memory.js";
import { createLoader, type LoaderOptions, type RawBatch } from "../../../core/data/loader.js";
import { TrainerError } from "../../../core/errors.js";
import { stream } from "../../../core/rng.js";

const height = 2;
const width = 3;
const statistics = { mean: [0.5, 0.25, 0], deviation: [0.5, 0.25, 2] } as const;

/** 23 images whose every byte is a function of place and position. */
const pixels = Uint8Array.from({ length: 23 * 18 }, (_, at) => (at * 37) & 255);
const labels = Uint16Array.from({ length: 23 }, (_, at) => (at * 5) % 7);
const split = memorySplit([{ name: "mini", pixels, labels }], height, width);

function loaderOf(options: Partial<LoaderOptions> = {}) {
  return createLoader({
    split,
    height,
    width,
    ...statistics,
    batchSize: 5,
    seed: 9,
    shuffle: true,
    ...options,
  });
}

async function collect(batches: AsyncIterable<RawBatch>): Promise<RawBatch[]> {
  const all: RawBatch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

const placesOf = (batches: readonly RawBatch[]): number[] => batches.flatMap(({ indices }) => [...indices]);

/** A transform that draws: adds a random byte to every value, by (epoch, index). */
function noisy(sample: Sample, epoch: number): Sample {
  const shift = stream(1, "noisy", epoch, sample.index).int(256);
  return { ...sample, pixels: sample.pixels.map((value) => (value + shift) & 255) };
}

describe("batches", () => {
  it("visit every place once an epoch, the last batch being short", async () => {
    const batches = await collect(loaderOf().epoch(4));
    expect(batches.map(({ size }) => size)).toEqual([5, 5, 5, 5, 3]);
    expect(placesOf(batches).sort((a, b) => a - b)).toEqual([...Array(23).keys()]);
    expect(batches.map(({ batchInEpoch }) => batchInEpoch)).toEqual([0, 1, 2, 3, 4]);
    for (const { epoch, batchesInEpoch, images, labels: found, indices } of batches) {
      expect([epoch, batchesInEpoch]).toEqual([4, 5]);
      expect(images).toHaveLength(indices.length * 18);
      expect([...found]).toEqual([...indices].map((place) => labels[place]));
    }
  });

  it("keep the split's order without shuffling", async () => {
    expect(placesOf(await collect(loaderOf({ shuffle: false }).epoch(2)))).toEqual([...Array(23).keys()]);
  });

  it("drop a short last batch if asked", async () => {
    const loader = loaderOf({ dropLast: true });
    expect(loader.batchesInEpoch).toBe(4);
    expect((await collect(loader.epoch(0))).map(({ size }) => size)).toEqual([5, 5, 5, 5]);
  });

  it("are normalised to (value / 255 - mean) / deviation by channel", async () => {
    for (const { images, indices } of await collect(loaderOf().epoch(0))) {
      images.forEach((value, at) => {
        const byte = pixels[indices[Math.floor(at / 18)]! * 18 + (at % 18)]!;
        const channel = at % 3;
        expect(value).toBe(Math.fround((byte / 255 - statistics.mean[channel]!) / statistics.deviation[channel]!));
      });
    }
  });

  it("have memory of their own", async () => {
    const kept: Float32Array[] = [];
    for await (const { images } of loaderOf().epoch(0)) kept.push(images.slice());
    const again = await collect(loaderOf().epoch(0));
    again.forEach(({ images }, at) => expect(images).toEqual(kept[at]));
  });
});

describe("order", () => {
  it("is a function of seed and epoch, different in both", async () => {
    const order = async (seed: number, epoch: number) => placesOf(await collect(loaderOf({ seed }).epoch(epoch)));
    expect(await order(9, 0)).toEqual(await order(9, 0));
    const orders = [await order(9, 0), await order(9, 1), await order(10, 0), await order(10, 1)];
    expect(new Set(orders.map(String)).size).toBe(4);
  });

  it("does not depend on which epochs came before, or on the transform", async () => {
    const loader = loaderOf({ transform: noisy });
    await collect(loader.epoch(0));
    await loader.epoch(1).next();
    expect(placesOf(await collect(loader.epoch(2)))).toEqual(placesOf(await collect(loaderOf().epoch(2))));
  });

  it("is the same from any batch on: a resumed run sees what it would have seen", async () => {
    const all = await collect(loaderOf({ transform: noisy }).epoch(3));
    for (let start = 0; start <= 5; start++) {
      expect(await collect(loaderOf({ transform: noisy }).epoch(3, start))).toEqual(all.slice(start));
    }
  });
});

describe("transform", () => {
  it("gets the sample and the epoch, and its pixels and label are used", async () => {
    const seen: [number, number, number][] = [];
    const transform = (sample: Sample, epoch: number): Sample => {
      seen.push([sample.index, sample.label, epoch]);
      expect([sample.height, sample.width]).toEqual([2, 3]);
      return { ...sample, pixels: new Uint8Array(18).fill(255), label: 6 - sample.label };
    };
    const [batch] = await collect(loaderOf({ transform, batchSize: 23, shuffle: false }).epoch(7));
    expect(seen).toEqual([...labels].map((label, at) => [at, label, 7]));
    expect([...batch!.labels]).toEqual([...labels].map((label) => 6 - label));
    expect([...batch!.images.slice(0, 3)]).toEqual([1, 3, 0.5]);
  });

  it("cannot damage the data, even if it writes into its argument", async () => {
    const destructive = (sample: Sample): Sample => {
      sample.pixels.fill(0);
      return sample;
    };
    await collect(loaderOf({ transform: destructive }).epoch(0));
    const [first] = await collect(loaderOf({ shuffle: false }).epoch(0));
    expect(first!.images[0]).toBe(Math.fround((pixels[0]! / 255 - 0.5) / 0.5));
  });

  it.each([
    ["another size", (sample: Sample) => ({ ...sample, height: 3, width: 2 }), "is 3 x 2 with 18 bytes"],
    ["too few bytes", (sample: Sample) => ({ ...sample, pixels: new Uint8Array(17) }), "is 2 x 3 with 17 bytes"],
    ["floats", (sample: Sample) => ({ ...sample, pixels: new Float32Array(18) }) as never, "is no image"],
    ["nothing", () => undefined as never, "is no image"],
  ])("that returns %s is refused with what was expected", async (_, transform, message) => {
    const error = await collect(loaderOf({ transform, shuffle: false }).epoch(0)).then(
      () => undefined,
      (error: unknown) => error as TrainerError,
    );
    expect(error).toBeInstanceOf(TrainerError);
    expect(error!.code).toBe("ERR_PLUGIN");
    expect(error!.message).toContain("mini#0");
    expect(error!.message).toContain(message);
    expect(error!.message).toContain("expected 2 x 3 with 18 bytes");
  });
});

describe("reading ahead", () => {
  const tick = () => new Promise(setImmediate);

  /** A split that takes its time, and says what happened in which order. */
  function slowSplit(): { slow: Split; events: string[]; failAt: { batch?: number } } {
    const events: string[] = [];
    const failAt: { batch?: number } = {};
    let batch = 0;
    const slow: Split = {
      ...split,
      async read(indices) {
        const now = batch++;
        events.push(`read ${now}`);
        await tick(); // a thread decodes
        if (now === failAt.batch) throw new TrainerError("ERR_DATA", `batch ${now} is damaged: a.png`);
        events.push(`done ${now}`);
        return split.read(indices);
      },
    };
    return { slow, events, failAt };
  }

  it("begins the next batch before a batch is handed out, and never more than one", async () => {
    const { slow, events } = slowSplit();
    for await (const { batchInEpoch } of loaderOf({ split: slow }).epoch(0)) {
      events.push(`train ${batchInEpoch}`);
      await tick();
      await tick();
    }
    expect(events).toEqual([
      "read 0",
      "done 0",
      "read 1",
      "train 0",
      "done 1",
      "read 2",
      "train 1",
      "done 2",
      "read 3",
      "train 2",
      "done 3",
      "read 4",
      "train 3",
      "done 4",
      "train 4",
    ]);
  });

  it("reads nothing before it is asked, and one batch too many if the consumer leaves", async () => {
    const { slow, events } = slowSplit();
    const batches = loaderOf({ split: slow }).epoch(0);
    await tick();
    expect(events).toEqual([]);
    for await (const _ of batches) break;
    expect(events.filter((event) => event.startsWith("read"))).toEqual(["read 0", "read 1"]);
  });

  it("reports a batch that cannot be read when its turn comes", async () => {
    const { slow, failAt } = slowSplit();
    failAt.batch = 2;
    const batches: number[] = [];
    const run = (async () => {
      for await (const { batchInEpoch } of loaderOf({ split: slow }).epoch(0)) {
        batches.push(batchInEpoch);
        await tick();
      }
    })();
    await expect(run).rejects.toThrow("batch 2 is damaged: a.png");
    expect(batches).toEqual([0, 1]);
  });

  it("leaves no unhandled rejection if the consumer has gone", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const { slow, failAt } = slowSplit();
    failAt.batch = 1;
    for await (const _ of loaderOf({ split: slow }).epoch(0)) break;
    await new Promise((done) => setTimeout(done, 20));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe("what cannot be", () => {
  it("is refused when the loader is made or started", async () => {
    for (const batchSize of [0, -1, 2.5, NaN]) {
      expect(() => loaderOf({ batchSize })).toThrow("expected a whole number from 1 as batch size");
    }
    expect(() => loaderOf({ batchSize: 24, dropLast: true })).toThrow(
      "expected at least one batch of 24 images, got 23 images",
    );
    expect(() => loaderOf({ split: memorySplit([], height, width) })).toThrow(
      "expected at least one batch of 5 images, got 0 images",
    );
    for (const start of [-1, 6, 0.5]) {
      await expect(loaderOf().epoch(0, start).next()).rejects.toThrow(`cannot start at batch ${start}`);
    }
  });

  it("is refused when a data set reads other images than it promised", async () => {
    const wrongSize = { ...split, read: () => [{ pixels: new Uint8Array(27), height: 3, width: 3 }] };
    await expect(loaderOf({ split: wrongSize, batchSize: 1 }).epoch(0).next()).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringContaining("is 3 x 3 with 27 bytes, expected 2 x 3 with 18 bytes"),
    });
    const short = { ...split, read: (): Image[] => [] };
    await expect(loaderOf({ split: short }).epoch(0).next()).rejects.toThrow("expected 5 images from read, got 0");
  });
});

describe("regions", () => {
  it("are asked for each image by its place and epoch, and scaled in memory where a split cannot read them", async () => {
    const asked: unknown[] = [];
    const left = { top: 0, left: 0, height: 2, width: 2 };
    const loader = loaderOf({
      shuffle: false,
      region: (whole, { index, label, height, width }, epoch) => {
        asked.push([whole, index, label, height, width, epoch]);
        return index % 2 ? left : { top: 0, left: 0, height, width };
      },
    });
    const [first] = await collect(loader.epoch(3));
    expect(asked[1]).toEqual([{ ...left, left: 1 }, 1, labels[1], 2, 3, 3]);
    const [plain] = await collect(loaderOf({ shuffle: false }).epoch(3));
    expect(first!.images.subarray(0, 18)).toEqual(plain!.images.subarray(0, 18));
    expect(first!.images.subarray(18, 36)).not.toEqual(plain!.images.subarray(18, 36));
    expect(first!.images[18]).toBe(plain!.images[18]);
  });

  it("come from the split where it reads them", async () => {
    const readRegions = vi.fn(
      (indices: ArrayLike<number>, regionOf: (at: number, stored: { height: number; width: number }) => unknown) => {
        expect(regionOf(0, { height: 20, width: 10 })).toEqual({ top: 5, left: 0, height: 10, width: 10 });
        return split.read(indices);
      },
    );
    const own: Split = { ...split, readRegions };
    await collect(loaderOf({ split: own, region: (whole) => whole }).epoch(0));
    expect(readRegions).toHaveBeenCalledTimes(5);
  });
});
