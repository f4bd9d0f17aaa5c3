/**
 * What each trick brings at a fixed budget: `npm run bench -- ablation --data PATH`.
 *
 * One recipe, and the recipe with one plugin more, for several seeds each. Every run has a folder of its own under
 * `--out`, and one that has its summary is not run again: stopped anywhere, the same command goes on. At the end, and
 * with `--report` alone, docs/ablation.md is written from what the folders hold.
 *
 * Compared are 5,000 training images held out of training; the test set is not looked at.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { showProgress } from "../cli/progress.js";
import { type Given, type Plugin, Trainer, type TrainerConfig } from "../core/index.js";
import type { SummaryRecord } from "../core/loop/events.js";
import {
  autoAugment,
  cutmix,
  dropout,
  ema,
  labelSmoothing,
  mixup,
  randomErasing,
  squeezeExcite,
  stochasticDepth,
} from "../plugins/index.js";
import { cifar100Small } from "../presets/index.js";
import { createRunRecord, runFiles } from "../run/record.js";
import { deviation, mean, pooledDifferences } from "./common/intervals.js";
import { whole } from "./common/options.js";

/** Arm -> the one plugin that it adds. Plugins that build the network come first, as in every preset. */
const arms: Readonly<Record<string, () => Given<Plugin>>> = {
  "label-smoothing": () => labelSmoothing({ smoothing: 0.1 }),
  cutmix: () => cutmix({ alpha: 1, probability: 0.5 }),
  "auto-augment": () => autoAugment(),
  "squeeze-excite": () => squeezeExcite({ reduction: 16 }),
  ema: () => ema({ decay: 0.99 }),
  dropout: () => dropout({ rate: 0.2 }),
  mixup: () => mixup({ alpha: 0.2 }),
  "random-erasing": () => randomErasing(),
  "stochastic-depth": () => stochasticDepth({ rate: 0.1 }),
};
const baseline = "baseline";

const { values: given } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string", default: "runs/ablation" },
    epochs: { type: "string", default: "4" },
    seeds: { type: "string", default: "3" },
    images: { type: "string", default: "25000" },
    arms: { type: "string", default: Object.keys(arms).join(",") },
    report: { type: "boolean", default: false },
  },
});
const seeds = Array.from({ length: whole("seeds", given.seeds) }, (_, index) => index + 1);
const chosen = given.arms.split(",").filter(Boolean);
const unknown = chosen.filter((name) => !Object.hasOwn(arms, name));
if (unknown.length > 0) throw new Error(`No arm ${unknown.join(", ")}; there are ${Object.keys(arms).join(", ")}.`);

/** cifar100-small without the tricks that are arms themselves: crop and flip, L2, one cycle, growing images. */
function configOf(arm: string, seed: number): TrainerConfig {
  const recipe = cifar100Small({ data: given.data });
  const plain = recipe.plugins!.filter(({ name }) => !["label-smoothing", "test-time-augmentation"].includes(name));
  const images = whole("images", given.images);
  return {
    ...recipe,
    name: `ablation-${arm}`,
    seed,
    epochs: whole("epochs", given.epochs),
    limitTrain: images,
    holdout: 5000 / images,
    limitTest: 100, // the loop evaluates a test set at the end; nothing here looks at it
    evaluateEvery: whole("epochs", given.epochs),
    plugins: arm === baseline ? plain : [arms[arm]!(), ...plain],
  };
}

const folderOf = (arm: string, seed: number): string => join(given.out, `${arm}-${seed}`);
const summaryOf = (arm: string, seed: number): SummaryRecord | undefined => {
  const path = join(folderOf(arm, seed), runFiles.summary);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as SummaryRecord) : undefined;
};

async function runAll(): Promise<void> {
  // Seed by seed: stopped early, every arm has as many runs as the baseline, give or take one.
  for (const seed of seeds) {
    for (const arm of [baseline, ...chosen]) {
      if (summaryOf(arm, seed)) continue;
      const folder = folderOf(arm, seed);
      rmSync(folder, { recursive: true, force: true }); // what a run that was stopped left
      mkdirSync(folder, { recursive: true });
      const trainer = new Trainer(configOf(arm, seed), [createRunRecord({ logEvery: 10 }).plugin]);
      process.stderr.write(`${arm}, seed ${seed}\n`);
      showProgress(trainer.events);
      await trainer.fit({ folder });
    }
  }
}

const percent = (share: number): string => (100 * share).toFixed(1);
const signed = (share: number): string => `${share < 0 ? "−" : "+"}${percent(Math.abs(share))}`;

function report(): string {
  const finished = [baseline, ...Object.keys(arms)].map((arm) => {
    const summaries = seeds.map((seed) => summaryOf(arm, seed));
    return { arm, summaries: summaries.filter((summary) => summary !== undefined) };
  });
  const whole = finished.filter(({ summaries }) => summaries.length === seeds.length);
  if (whole[0]?.arm !== baseline) throw new Error(`The baseline has not run for all of ${seeds.length} seeds yet.`);
  const top1 = new Map(whole.map(({ arm, summaries }) => [arm, summaries.map((each) => each.validation!.top1)]));
  const [[, base], ...others] = [...top1] as [[string, number[]], ...[string, number[]][]];
  const differences = pooledDifferences(new Map(others), base);
  const seconds = new Map(whole.map(({ arm, summaries }) => [arm, mean(summaries.map((each) => each.seconds))]));
  const degrees = others.length * (seeds.length - 1);
  const rows = [...top1].map(([arm, values]) => {
    const found = differences.get(arm);
    const difference = found ? `${signed(found.difference)} ± ${percent(found.margin)}` : "";
    const verdict = !found
      ? ""
      : Math.abs(found.difference) <= found.margin
        ? "no difference shown"
        : found.difference > 0
          ? "helps"
          : "hurts";
    const cells = [
      arm,
      `${percent(mean(values))} ± ${percent(deviation(values))}`,
      difference,
      verdict,
      (seconds.get(arm)! / 60).toFixed(1),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const { backend, backendVersion, threads, epochs } = whole[0].summaries[0]!;
  const trained = Number(given.images) - 5000;
  return `# Ablation

What each trick alone does to \`cifar100-small\` at a small, fixed budget. Written by
\`npm run bench -- ablation --data PATH --epochs ${given.epochs} --seeds ${given.seeds} --images ${given.images}
--arms ${others.map(([arm]) => arm).join(",")}\`; the command goes on where it was stopped.

The baseline is \`cifar100-small\` with its crop and flip, L2, one-cycle schedule and growing images, and without label
smoothing and mirrored evaluation. Each arm adds one plugin. ${epochs} epochs over ${trained.toLocaleString("en")} images of CIFAR-100, seeds
${seeds.join(", ")}. The figure is top-1 on 5,000 training images held out of training, after the last epoch; the test set was
not looked at.

| arm | top-1, %: mean ± deviation over seeds | difference from the baseline, 95 % interval | at this budget | minutes |
| --- | --- | --- | --- | --- |
${rows.join("\n")}

Differences are paired by seed, which fixes first weights, order and held-out images. Their intervals take one
deviation for all arms (${degrees} degrees of freedom): ${seeds.length} seeds alone say little about the spread of one. With
${others.length} arms, one interval in twenty would miss by chance. Minutes are of training, on ${threads} threads
(${backend} ${backendVersion}, ${cpus()[0]?.model.trim() ?? "unknown processor"}) that other work shared; where a run was suspended, its minutes count that too.

Short runs do not overfit, so what regularises has little to give here and costs fit: read a "hurts" as "needs more
epochs than these", which is when others report that mixing and AutoAugment help.
`;
}

if (!given.report) await runAll();
writeFileSync("docs/ablation.md", report());
process.stderr.write("docs/ablation.md written\n");
