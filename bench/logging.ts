/**
 * What looking at a run costs: `npm run bench -- logging --data PATH`.
 *
 * The same CIFAR-100 epochs with everything that watches (visual-log with all it has, Grad-CAM drawings, the report, the kept record)
 * and without, taking turns in one run. The time is of the whole run, evaluation and writing included.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Trainer, type Plugin } from "../core/index.js";
import { createReport } from "../core/report/keep.js";
import { createRunRecord } from "../core/run/record.js";
import { gradCam, visualLog } from "../plugins/index.js";
import { cifar100Baseline } from "../presets/index.js";
import { resnet18 } from "../core/models/index.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    width: { type: "string", default: "64" },
    rounds: { type: "string", default: "5" },
    pictures: { type: "string", default: "5000" },
  },
});
const rounds = Number(values.rounds);

async function secondsWith(plugins: readonly Plugin[], extensions: readonly Plugin[]): Promise<number> {
  const recipe = cifar100Baseline({ data: values.data });
  const folder = mkdtempSync(join(tmpdir(), "fitloop-logging-"));
  const trainer = new Trainer(
    {
      ...recipe,
      model: resnet18({ width: Number(values.width), stem: "cifar" }),
      epochs: 1,
      limitTrain: Number(values.pictures),
      limitTest: 100,
      plugins: [...recipe.plugins!, ...plugins],
    },
    extensions,
  );
  await trainer.prepare(); // backend and data are loaded before the clock starts
  const from = performance.now();
  await trainer.fit({ folder });
  rmSync(folder, { recursive: true });
  return (performance.now() - from) / 1000;
}

const plain: number[] = [];
const watched: number[] = [];
await secondsWith([], []); // a warm-up
const turns = [
  async () => void plain.push(await secondsWith([], [])),
  async () => {
    const watchers = [gradCam({ every: 1 }), visualLog({ every: 1, histograms: 1 })];
    watched.push(await secondsWith(watchers, [createRunRecord().plugin, createReport()]));
  },
];
// In turns, and the first of them in turns too: a machine that gets slower treats both alike.
for (let round = 0; round < rounds; round++) {
  for (const turn of round % 2 === 0 ? turns : [...turns].reverse()) await turn();
}
const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
const ratios = watched.map((seconds, round) => seconds / plain[round]!);
const show = (numbers: number[]): string => numbers.map((each) => each.toFixed(3)).join(" ");
process.stdout.write(
  `ResNet-18 of width ${values.width}, one epoch of ${values.pictures} pictures of CIFAR-100, everything logged in it:\n` +
    `without ${median(plain).toFixed(2)} s, with ${median(watched).toFixed(2)} s; ` +
    `ratio ${median(ratios).toFixed(3)} (rounds ${show(ratios)})\n`,
);
