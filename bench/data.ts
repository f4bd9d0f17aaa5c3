/**
 * From images to batches, beside torchvision under PyTorch's DataLoader, taking turns in one run.
 *
 *   npm run bench -- data --python PATH [--rounds 5] [--only JPEG]
 *
 * PATH is a Python with torch, torchvision and Pillow; bench/data.py is run by it. Ours is the loader of a run, with its
 * hooks and plugins, on one thread and libuv's; theirs is, for every task, the fastest of Pillow and tensor transforms with
 * no worker and with two. Both give shuffled, normalised float32 batches of 128. Figures are medians over the rounds: images a
 * second with nothing else running, and the processor's milliseconds for a batch, which are what a step has to share.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { type DataSource, imageFolder, memorySplit } from "../core/data/index.js";
import { type Given, type Plugin, Trainer } from "../core/index.js";
import { resnet9 } from "../core/models/index.js";
import { autoAugment, randomCropFlip } from "../plugins/index.js";
import { median } from "./common/intervals.js";
import { whole } from "./common/options.js";
import { startPeer } from "./common/peer.js";

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: "" },
  },
});
const rounds = whole("rounds", values.rounds);
const batchSize = 128;
const folder = mkdtempSync(join(tmpdir(), "fitloop-bench-data-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Clouds: noise would make JPEG files five times as large as photographs of that size. */
async function cloud(index: number): Promise<Buffer> {
  const [columns, rows] = [25, 19];
  const coarse = Uint8Array.from(
    { length: columns * rows * 3 },
    (_, at) => ((at + 1) * (index + 7) * 2654435761) >>> 24,
  );
  return sharp(coarse, { raw: { width: columns, height: rows, channels: 3 } })
    .resize(500, 375, { kernel: "cubic" })
    .jpeg({ quality: 90 })
    .toBuffer();
}
for (const name of ["cats", "dogs"]) {
  mkdirSync(join(folder, name));
  for (let index = 0; index < batchSize; index++)
    await sharp(await cloud(index)).toFile(join(folder, name, `${index}.jpg`));
}

const side = 32;
const count = 40 * batchSize;
const pixels = Uint8Array.from({ length: count * side * side * 3 }, (_, at) => (at * 2654435761) >>> 24);
const labels = Uint16Array.from({ length: count }, (_, at) => at % 2);
const small: DataSource = {
  name: "bench",
  options: {},
  load: async () => ({
    classes: ["cats", "dogs"],
    height: side,
    width: side,
    train: memorySplit([{ name: "bench", pixels, labels }], side, side),
    mean: [0.5, 0.5, 0.5],
    deviation: [0.25, 0.25, 0.25],
    fingerprint: "bench",
  }),
};

/** bench/data.py has the same ones. */
const tasks: Record<string, { data: Given<DataSource>; plugins: Given<Plugin>[] }> = {
  "32 px in memory": { data: small, plugins: [] },
  "32 px, crop and flip": { data: small, plugins: [randomCropFlip()] },
  "32 px, crop, flip, AutoAugment": { data: small, plugins: [randomCropFlip(), autoAugment()] },
  "JPEG files of 500 x 375 to 224 px, crop and flip": {
    data: imageFolder({ path: folder, size: 224 }),
    plugins: [randomCropFlip()],
  },
};

interface Figure {
  imagesPerSecond: number;
  milliseconds: number;
}

async function measure(task: string): Promise<Figure> {
  const { data, plugins } = tasks[task]!;
  const config = {
    name: "bench",
    data,
    model: resnet9({ width: 4 }),
    learningRate: 0.1,
    epochs: 1,
    batchSize,
    holdout: 0,
    plugins,
  };
  const { loaders } = await new Trainer(config).prepare();
  const [since, processor] = [performance.now(), process.cpuUsage()];
  let images = 0;
  for await (const { size } of loaders.train.epoch(0)) images += size;
  const { user, system } = process.cpuUsage(processor);
  return {
    imagesPerSecond: (1000 * images) / (performance.now() - since),
    milliseconds: ((user + system) / 1000 / images) * batchSize,
  };
}

const peer = startPeer(
  values.python,
  join(import.meta.dirname, "data.py"),
  [folder, String(count)],
  "torch, torchvision and Pillow",
);

const middle = (figures: readonly Figure[]): Figure => ({
  imagesPerSecond: median(figures.map((each) => each.imagesPerSecond)),
  milliseconds: median(figures.map((each) => each.milliseconds)),
});
const shown = ({ imagesPerSecond, milliseconds }: Figure): string =>
  `${imagesPerSecond.toFixed(0).padStart(7)} images/s ${milliseconds.toFixed(1).padStart(7)} ms a batch`;

for (const task of Object.keys(tasks).filter((name) => name.includes(values.only))) {
  const ours: Figure[] = [];
  const theirs: Record<string, Figure[]> = {};
  for (let round = 0; round < rounds; round++) {
    ours.push(await measure(task));
    // Each of torchvision's ways by name.
    for (const [way, figure] of Object.entries(await peer.answer<Record<string, Figure>>(task)))
      (theirs[way] ??= []).push(figure);
  }
  const mine = middle(ours);
  const [fastest, frugal] = (["imagesPerSecond", "milliseconds"] as const).map((key) => {
    const sign = key === "milliseconds" ? 1 : -1;
    return Object.entries(theirs)
      .map(([way, figures]) => [way, middle(figures)] as const)
      .sort(([, a], [, b]) => sign * (a[key] - b[key]))[0]!;
  }) as [readonly [string, Figure], readonly [string, Figure]];
  console.log(`${task}
  fitloop      ${shown(mine)}
  the fastest  ${shown(fastest[1])}  ${fastest[0]}: ratio ${(mine.imagesPerSecond / fastest[1].imagesPerSecond).toFixed(2)}
  the frugal   ${shown(frugal[1])}  ${frugal[0]}: ratio ${(frugal[1].milliseconds / mine.milliseconds).toFixed(2)}`);
}
peer.end();
