/**
 * Image operations beside torchvision's, one core each, taking turns in one run.
 *
 *   npm run bench -- augmentation --python PATH [--rounds 5] [--seconds 0.05]
 *
 * PATH is a Python with torch, torchvision and Pillow; bench/augmentation.py is run by it. The peer is, for
 * every task, the fastest of torchvision's four ways: version 1 and 2, on tensors and on Pillow images.
 * Images are 32 x 32 noise. Times are processor times, our garbage collector's included, so that a busy
 * machine troubles both alike; figures are medians over the rounds.
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Image } from "../core/data/dataset.js";
import { applySteps, autoAugmentDraw, randAugmentDraw, trivialAugmentDraw } from "../core/image/auto-augment.js";
import * as color from "../core/image/color.js";
import * as draws from "../core/image/draws.js";
import * as geometry from "../core/image/geometry.js";
import { type Stream, stream } from "../core/rng.js";
import { median } from "./common/intervals.js";
import { whole } from "./common/options.js";
import { startPeer } from "./common/peer.js";

type Operation = (image: Image) => Image;
type Augmentation = (image: Image, random: Stream) => Image;

const size = { height: 32, width: 32 };
const fill = [128, 128, 128] as const;
const nearest = { interpolation: "nearest", fill } as const;
const bilinear = { interpolation: "bilinear", fill } as const;
const matrix = { angle: 11, translate: [2, -1], scale: 1.1, shear: [5, 0] } as const;
const ranges = { degrees: [-15, 15], translate: [0.1, 0.1], scale: [0.9, 1.1], shear: [-10, 10] } as const;
const jitter = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };

/** With fixed parameters. */
const operations: Record<string, Operation> = {
  brightness: (image) => color.brightness(image, 1.4),
  contrast: (image) => color.contrast(image, 1.4),
  saturation: (image) => color.saturation(image, 1.4),
  hue: (image) => color.hue(image, 0.08),
  sharpness: (image) => color.sharpness(image, 1.4),
  posterize: (image) => color.posterize(image, 5),
  solarize: (image) => color.solarize(image, 113),
  autocontrast: (image) => color.autocontrast(image),
  equalize: (image) => color.equalize(image),
  invert: (image) => color.invert(image),
  grayscale: (image) => color.grayscale(image),
  flip: (image) => geometry.flipHorizontal(image),
  "pad 4 and crop": (image) => geometry.crop(image, { top: -3, left: 2, ...size }),
  erase: (image) => geometry.erase(image, { top: 5, left: 7, height: 12, width: 10 }, [124, 7, 255]),
  translate: (image) => geometry.translateX(image, 9, nearest),
  "shear, nearest": (image) => geometry.shearX(image, 0.266, nearest),
  "rotate, nearest": (image) => geometry.rotate(image, 11, nearest),
  "affine, nearest": (image) => geometry.affine(image, matrix, nearest),
  "affine, bilinear": (image) => geometry.affine(image, matrix, bilinear),
};

/** With drawn parameters, as the plugins do it; the image's stream is part of the time. */
const augmentations: Record<string, Augmentation> = {
  "random crop, flip": (image, random) => {
    const cropped = geometry.crop(image, draws.randomCropDraw(random, size, 4));
    return random.chance(0.5) ? geometry.flipHorizontal(cropped) : cropped;
  },
  "random affine": (image, random) => geometry.affine(image, draws.randomAffineDraw(random, ranges, size), bilinear),
  "color jitter": (image, random) => draws.applyColorSteps(image, draws.colorJitterDraw(random, jitter)),
  "random erasing": (image, random) => {
    const rectangle = draws.randomErasingDraw(random, size);
    return rectangle ? geometry.erase(image, rectangle, [0, 0, 0]) : image;
  },
  AutoAugment: (image, random) => applySteps(image, autoAugmentDraw(random, size), nearest),
  RandAugment: (image, random) => applySteps(image, randAugmentDraw(random, size), nearest),
  TrivialAugment: (image, random) => applySteps(image, trivialAugmentDraw(random, size), nearest),
};

const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "0.05" },
  },
});
const rounds = whole("rounds", values.rounds);
const seconds = Number(values.seconds);

const images: Image[] = Array.from({ length: 64 }, (_, index) => {
  const random = stream(1, "images", index);
  return { pixels: Uint8Array.from({ length: 32 * 32 * 3 }, () => random.int(256)), ...size };
});
const script = join(import.meta.dirname, "augmentation.py");
const peer = startPeer(values.python, script, [values.seconds], "torch, torchvision and Pillow");
const { versions, tasks: names } = await peer.answer<{ versions: string; tasks: string[] }>();

const ours: Record<string, number[]> = {};
const theirs: Record<string, Record<string, number[]>> = {};
for (const name of names) rate(name); // once through everything first, so that no task meets cold code
for (let round = 0; round < rounds; round++) {
  for (const name of names) {
    (ours[name] ??= []).push(rate(name));
    for (const [way, value] of Object.entries(await peer.answer<Record<string, number>>(name))) {
      ((theirs[name] ??= {})[way] ??= []).push(value);
    }
  }
}
peer.end();

console.log(`${cpus()[0]?.model}; Node ${process.version}; ${versions}; ${rounds} rounds of ${seconds} s`);
console.log(`${"task".padEnd(18)}${"µs".padStart(8)}${"images/s".padStart(12)}${"peer's".padStart(10)}  ratio  way`);
for (const name of names) {
  const own = median(ours[name]!);
  const ways = Object.entries(theirs[name]!).map(([way, rates]) => ({ way, rate: median(rates) }));
  const best = ways.reduce((first, second) => (second.rate > first.rate ? second : first));
  const columns = [(1e6 / own).toFixed(1).padStart(8), own.toFixed(0).padStart(12), best.rate.toFixed(0).padStart(10)];
  console.log(`${name.padEnd(18)}${columns.join("")}${(own / best.rate).toFixed(2).padStart(7)}  ${best.way}`);
}

/** Images a second of processor time. */
function rate(name: string): number {
  const operation = operations[name];
  const augmentation = augmentations[name]!;
  const start = process.cpuUsage();
  for (let count = 0; ; count++) {
    const image = images[count % images.length]!;
    if (operation) operation(image);
    else augmentation(image, stream(7, "bench", count));
    if (count % 64 !== 63) continue;
    const { user, system } = process.cpuUsage(start);
    if (user + system > seconds * 1e6) return (count + 1) / ((user + system) / 1e6);
  }
}
