/**
 * Wrong labels made on purpose, and how many of them `trainer data check --labels` finds.
 *
 *   npm run bench -- labels --data cifar-100-binary.tar.gz --out build/labels [--weights FILE] [--wrong 0.05] [--seed 1]
 *
 * Writes images of six classes of CIFAR-100 as JPEG files, three pairs that look alike, 200 to 60 training images each and 50 test
 * images each, into OUT/photos; moves a share of the training images into another class; and lists those in OUT/swapped.csv. Then it
 * checks the labels, and counts. `trainer --data OUT/photos` trains on the same folder.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { labelsOf } from "../cli/data-check.js";
import { cifar100 } from "../core/data/index.js";
import { inspectFolder } from "../core/data/inspect.js";
import { makePart } from "../core/parts.js";
import { stream } from "../core/rng.js";
import { whole } from "./common/options.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string" },
    weights: { type: "string" },
    wrong: { type: "string", default: "0.05" },
    seed: { type: "string", default: "1" },
  },
});
if (values.data === undefined || values.out === undefined) throw new Error("Give --data ARCHIVE and --out FOLDER.");
const seed = whole("seed", values.seed);
const share = Number(values.wrong);

/** Class -> training images. */
const counts: Readonly<Record<string, number>> = {
  leopard: 200,
  tiger: 160,
  bus: 130,
  pickup_truck: 100,
  apple: 80,
  pear: 60,
};
const testImages = 50;
const names = Object.keys(counts);
const { out } = values;
const photos = join(out, "photos");
if (existsSync(photos)) throw new Error(`${photos} exists already. Remove it, or choose another --out.`);

const { classes, train, test } = await makePart(cifar100({ path: values.data })).load({});
const swapped: string[] = [];
for (const [split, images] of Object.entries({ train, test: test! })) {
  const kept = names.flatMap((name) => {
    const count = split === "train" ? counts[name]! : testImages;
    const places = Array.from(images.labels.keys()).filter((place) => classes[images.labels[place]!] === name);
    return places.slice(0, count).map((place) => ({ place, name }));
  });
  const wrong = new Set(
    split === "train"
      ? stream(seed, "bench/labels")
          .permutation(kept.length)
          .subarray(0, Math.round(share * kept.length))
      : [],
  );
  for (const [at, { place, name }] of kept.entries()) {
    const [image] = await images.read([place]);
    const others = names.filter((each) => each !== name);
    const given = wrong.has(at) ? others[stream(seed, "bench/labels/class", at).permutation(others.length)[0]!]! : name;
    const file = `${split}/${given}/${String(place).padStart(5, "0")}.jpg`;
    if (given !== name) swapped.push(`${file},${given},${name}`);
    mkdirSync(join(photos, split, given), { recursive: true });
    await sharp(image!.pixels, { raw: { height: image!.height, width: image!.width, channels: 3 } })
      .jpeg({ quality: 95 })
      .toFile(join(photos, file));
  }
}
writeFileSync(join(out, "swapped.csv"), `${["file,given,true", ...swapped].join("\n")}\n`);
console.log(`${photos}: ${swapped.length} training images are in another class's folder`);

const processor = process.cpuUsage();
const { issues } = await inspectFolder(photos, {
  log: console.log,
  warn: console.log,
  labels: await labelsOf(photos, { weights: values.weights, folds: 5, seed }, console.log),
});
const { user, system } = process.cpuUsage(processor);
const doubted = issues.filter(({ kind }) => kind === "doubted label");
const truth = new Map(swapped.map((line) => line.split(",")).map(([file, , name]) => [file!, name!]));
const percent = (part: number, all: number): string => `${part} of ${all} (${((100 * part) / all).toFixed(0)} %)`;
const hits = doubted.filter(({ file }) => truth.has(file));
const first = doubted.slice(0, truth.size).filter(({ file }) => truth.has(file));
const named = hits.filter(({ file, suggested }) => truth.get(file) === suggested);
console.log(`recall      ${percent(hits.length, truth.size)} of the wrong labels are doubted
precision   ${percent(hits.length, doubted.length)} of the doubted labels are wrong on purpose
            ${percent(first.length, Math.min(truth.size, doubted.length))} of the first of the list are
suggestion  ${percent(named.length, hits.length)} of those found are given their true class
${((user + system) / 1e6).toFixed(0)} s of processor time`);
