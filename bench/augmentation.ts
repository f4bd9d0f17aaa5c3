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
import type { Picture } from "../core/data/dataset.js";
import { applySteps, autoAugmentDraw, randAugmentDraw, trivialAugmentDraw } from "../core/image/auto-augment.js";
import * as color from "../core/image/color.js";
import * as draws from "../core/image/draws.js";
import * as geometry from "../core/image/geometry.js";
import { type Stream, stream } from "../core/rng.js";
import { median } from "./common/intervals.js";
import { whole } from "./common/options.js";
import { startPeer } from "./common/peer.js";

type Operation = (picture: Picture) => Picture;
type Augmentation = (picture: Picture, random: Stream) => Picture;

const size = { height: 32, width: 32 };
const fill = [128, 128, 128] as const;
const nearest = { interpolation: "nearest", fill } as const;
const bilinear = { interpolation: "bilinear", fill } as const;
const matrix = { angle: 11, translate: [2, -1], scale: 1.1, shear: [5, 0] } as const;
const ranges = { degrees: [-15, 15], translate: [0.1, 0.1], scale: [0.9, 1.1], shear: [-10, 10] } as const;
const jitter = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };

/** With fixed parameters. */
const operations: Record<string, Operation> = {
  brightness: (picture) => color.brightness(picture, 1.4),
  contrast: (picture) => color.contrast(picture, 1.4),
  saturation: (picture) => color.saturation(picture, 1.4),
  hue: (picture) => color.hue(picture, 0.08),
  sharpness: (picture) => color.sharpness(picture, 1.4),
  posterize: (picture) => color.posterize(picture, 5),
  solarize: (picture) => color.solarize(picture, 113),
  autocontrast: (picture) => color.autocontrast(picture),
  equalize: (picture) => color.equalize(picture),
  invert: (picture) => color.invert(picture),
  grayscale: (picture) => color.grayscale(picture),
  flip: (picture) => geometry.flipHorizontal(picture),
  "pad 4 and crop": (picture) => geometry.crop(picture, { top: -3, left: 2, ...size }),
  erase: (picture) => geometry.erase(picture, { top: 5, left: 7, height: 12, width: 10 }, [124, 7, 255]),
  translate: (picture) => geometry.translateX(picture, 9, nearest),
  "shear, nearest": (picture) => geometry.shearX(picture, 0.266, nearest),
  "rotate, nearest": (picture) => geometry.rotate(picture, 11, nearest),
  "affine, nearest": (picture) => geometry.affine(picture, matrix, nearest),
  "affine, bilinear": (picture) => geometry.affine(picture, matrix, bilinear),
};

/** With drawn parameters, as the plugins do it; the image's stream is part of the time. */
const augmentations: Record<string, Augmentation> = {
  "random crop, flip": (picture, random) => {
    const cropped = geometry.crop(picture, draws.randomCropDraw(random, size, 4));
    return random.chance(0.5) ? geometry.flipHorizontal(cropped) : cropped;
  },
  "random affine": (picture, random) =>
    geometry.affine(picture, draws.randomAffineDraw(random, ranges, size), bilinear),
  "color jitter": (picture, random) => draws.applyColorSteps(picture, draws.colorJitterDraw(random, jitter)),
  "random erasing": (picture, random) => {
    const rectangle = draws.randomErasingDraw(random, size);
    return rectangle ? geometry.erase(picture, rectangle, [0, 0, 0]) : picture;
  },
  AutoAugment: (picture, random) => applySteps(picture, autoAugmentDraw(random, size), nearest),
  RandAugment: (picture, random) => applySteps(picture, randAugmentDraw(random, size), nearest),
  TrivialAugment: (picture, random) => applySteps(picture, trivialAugmentDraw(random, size), nearest),
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

const pictures: Picture[] = Array.from({ length: 64 }, (_, index) => {
  const random = stream(1, "pictures", index);
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
console.log(`${"task".padEnd(18)}${"µs".padStart(8)}${"pictures/s".padStart(12)}${"peer's".padStart(10)}  ratio  way`);
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
    const picture = pictures[count % pictures.length]!;
    if (operation) operation(picture);
    else augmentation(picture, stream(7, "bench", count));
    if (count % 64 !== 63) continue;
    const { user, system } = process.cpuUsage(start);
    if (user + system > seconds * 1e6) return (count + 1) / ((user + system) / 1e6);
  }
}
