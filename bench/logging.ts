/**
 * What looking at a run costs: `npm run bench -- logging --data PATH`.
 *
 * The same CIFAR-100 epochs with everything that watches (visual-log with all it has, Grad-CAM drawings, the report, the kept record)
 * and without, taking turns in one run. The time is of the whole run, evaluation and writing included; and, since an
 * epoch's end and a run's end come once, of a step alone: in the taps and listeners that are called at each.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Given, type Plugin, Trainer } from "../core/index.js";
import { resnet18 } from "../core/models/index.js";
import { gradCam, visualLog } from "../plugins/index.js";
import { cifar100Baseline } from "../presets/index.js";
import { createReport } from "../report/observer.js";
import { createRunRecord } from "../run/record.js";
import { median } from "./common/intervals.js";
import { whole } from "./common/options.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    width: { type: "string", default: "64" },
    rounds: { type: "string", default: "5" },
    images: { type: "string", default: "5000" },
  },
});
const rounds = whole("rounds", values.rounds);

/** Milliseconds a step, spent in the taps that `watchers` have inside it and in whoever listens to it. */
const inSteps: number[] = [];
const stepHooks = ["beforeBatch", "afterLoss", "afterBackward", "beforeStep", "onStep"] as const;

async function secondsWith(plugins: readonly Given<Plugin>[], extensions: readonly Plugin[]): Promise<number> {
  const recipe = cifar100Baseline({ data: values.data });
  const folder = mkdtempSync(join(tmpdir(), "fitloop-logging-"));
  const trainer = new Trainer(
    {
      ...recipe,
      model: resnet18({ width: whole("width", values.width), stem: "cifar" }),
      epochs: 1,
      limitTrain: whole("images", values.images),
      limitTest: 100,
      plugins: [...recipe.plugins!, ...plugins],
    },
    extensions,
  );
  const { emit } = trainer.events;
  let [listening, steps] = [0, 0];
  trainer.events.emit = ((name: "step", value: never) => {
    const from = performance.now();
    emit(name, value);
    if (name !== "step") return;
    steps++;
    listening += performance.now() - from;
  }) as typeof emit;
  await trainer.prepare(); // backend and data are loaded before the clock starts
  const from = performance.now();
  await trainer.fit({ folder });
  rmSync(folder, { recursive: true });
  const watchers = [...plugins, ...extensions].map(({ name }) => trainer.hooks.costs().get(name));
  const tapping = watchers.flatMap((costs) => stepHooks.map((hook) => costs?.get(hook)?.milliseconds ?? 0));
  if (watchers.length > 0) inSteps.push((listening + tapping.reduce((sum, each) => sum + each, 0)) / steps);
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
/** Steps of an epoch: a tenth is for validation. */
const stepCount = Math.ceil((0.9 * whole("images", values.images)) / 128);
const ratios = watched.map((seconds, round) => seconds / plain[round]!);
const show = (numbers: number[]): string => numbers.map((each) => each.toFixed(3)).join(" ");
process.stdout.write(
  `ResNet-18 of width ${values.width}, one epoch of ${values.images} images of CIFAR-100, everything logged in it:\n` +
    `without ${median(plain).toFixed(2)} s, with ${median(watched).toFixed(2)} s; ` +
    `ratio ${median(ratios).toFixed(3)} (rounds ${show(ratios)})\n` +
    `in a step ${median(inSteps).toFixed(2)} ms, ${((100 * median(inSteps)) / ((1000 * median(plain)) / stepCount)).toFixed(2)} % of one\n`,
);
