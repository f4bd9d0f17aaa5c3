/**
 * What progressive resizing saves of a recipe's training time: `npm run bench -- resizing --data PATH`.
 *
 * Times micro-batches of `cifar100-strong` at sides that `progressive-resizing` would give it, takes those between on
 * straight lines, and adds them up over the epochs. The same images, network and plugins; only the side differs.
 */
import { parseArgs } from "node:util";
import { makePart, Trainer } from "../core/index.js";
import { progressiveResizing } from "../plugins/index.js";
import { sizeAt } from "../plugins/progressive-resizing/index.js";
import { cifar100Strong } from "../presets/index.js";
import { whole } from "./common/options.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    "batch-size": { type: "string", default: "32" },
    repeats: { type: "string", default: "3" },
    sides: { type: "string", default: "8" },
  },
});
const repeats = whole("repeats", values.repeats);
const batchSize = whole("batch-size", values["batch-size"]);
const recipe = cifar100Strong({ data: values.data, batchSize });
const settings = makePart(progressiveResizing()).options as { from: number; fullFor: number };
const epochs = recipe.epochs!;
const sides = Array.from({ length: epochs }, (_, epoch) => sizeAt(recipe.inputSize!, epoch, epochs, settings));
const distinct = [...new Set(sides)];
const count = Math.min(whole("sides", values.sides), distinct.length);
const places = Array.from({ length: count }, (_, at) =>
  Math.round((at * (distinct.length - 1)) / Math.max(1, count - 1)),
);
const seconds = new Map<number, number>();
for (const side of new Set(places.map((place) => distinct[place]!))) {
  const took = await secondsAt(side);
  seconds.set(side, took);
  process.stdout.write(`${String(side).padStart(4)} px  ${took.toFixed(2)} s for ${batchSize} images\n`);
}
const full = seconds.get(recipe.inputSize!)!;
const share = sides.reduce((sum, side) => sum + between(side), 0) / (full * sides.length);
process.stdout.write(
  `over ${sides.length} epochs, from ${sides[0]} px to ${sides.at(-1)} px: ${(100 * share).toFixed(0)} % of the ` +
    `time at ${recipe.inputSize} px throughout, ${(100 * (1 - share)).toFixed(0)} % saved\n`,
);

/** Measured, or on the line between the measured sides around it. */
function between(side: number): number {
  const measured = [...seconds].sort(([a], [b]) => a - b);
  const above = measured.findIndex(([at]) => at >= side);
  const [[low, fast], [high, slow]] = [measured[Math.max(0, above - 1)]!, measured[above]!];
  return high === low ? slow : fast + ((slow - fast) * (side - low)) / (high - low);
}

/** Median of `repeats` optimizer steps of one micro-batch each, after one that is not counted. */
async function secondsAt(side: number): Promise<number> {
  const trainer = new Trainer({
    ...recipe,
    inputSize: side,
    plugins: recipe.plugins!.filter(
      ({ name }) => !["gradient-accumulation", "grad-cam", "early-stopping", "visual-log"].includes(name),
    ),
    limitTrain: (repeats + 1) * batchSize,
    limitTest: 1,
    holdout: 0,
    maxSteps: repeats + 1,
  });
  const took: number[] = [];
  trainer.events.on("step", ({ samples, imagesPerSecond }) => took.push(samples / imagesPerSecond));
  await trainer.fit();
  return took.slice(1).sort((a, b) => a - b)[Math.floor(repeats / 2)]!;
}
