/**
 * Whether bfloat16 costs accuracy: `npm run bench -- precision --data PATH [--epochs 12] [--seeds 3]`.
 *
 * `cifar100-small` in float32 and in bfloat16, for the same seeds, in turns. A run that has its summary under `--out` is
 * not run again: stopped anywhere, the same command goes on. Compared is the test set, which each run reads once at its end;
 * the preset's thousand validation images would tell nothing below three points. The interval is of paired differences, with
 * Student's t.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { showProgress } from "../cli/progress.js";
import { Trainer } from "../core/index.js";
import type { SummaryRecord } from "../core/loop/events.js";
import { cifar100Small } from "../presets/index.js";
import { runFiles } from "../run/files.js";
import { createRunRecord } from "../run/record.js";
import { deviation, mean, pairedDifference } from "./common/intervals.js";
import { whole } from "./common/options.js";

const { values: given } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string", default: "runs/precision" },
    epochs: { type: "string", default: "12" },
    seeds: { type: "string", default: "3" },
  },
});
const epochs = whole("epochs", given.epochs);
const precisions = ["float32", "bfloat16"] as const;

async function run(precision: (typeof precisions)[number], seed: number): Promise<SummaryRecord> {
  const folder = join(given.out, `${precision}-${epochs}-${seed}`);
  const path = join(folder, runFiles.summary);
  if (!existsSync(path)) {
    rmSync(folder, { recursive: true, force: true }); // what a run that was stopped left
    mkdirSync(folder, { recursive: true });
    const recipe = cifar100Small({ data: given.data });
    const config = { ...recipe, seed, epochs, precision, evaluateEvery: epochs };
    const trainer = new Trainer(config, [createRunRecord({ logEvery: 10 }).plugin]);
    process.stderr.write(`${precision}, seed ${seed}\n`);
    showProgress(trainer.events);
    await trainer.fit({ folder });
  }
  return JSON.parse(readFileSync(path, "utf8")) as SummaryRecord;
}

const top1 = new Map<string, number[]>(precisions.map((precision) => [precision, []]));
const rates = new Map<string, number[]>(precisions.map((precision) => [precision, []]));
for (let seed = 1; seed <= whole("seeds", given.seeds); seed++) {
  for (const precision of seed % 2 === 1 ? precisions : [...precisions].reverse()) {
    const { test, imagesPerSecond } = await run(precision, seed);
    top1.get(precision)!.push(test!.top1);
    rates.get(precision)!.push(imagesPerSecond);
  }
}
const percent = (share: number): string => (100 * share).toFixed(2);
console.log(`cifar100-small, ${epochs} epochs, ${given.seeds} seeds: top-1 of the test set, %`);
for (const [precision, values] of top1) {
  const all = values.map(percent).join(" ");
  console.log(
    `${precision.padEnd(9)} ${percent(mean(values))} ± ${percent(deviation(values))} (${all}), ${mean(rates.get(precision)!).toFixed(0)} images/s in training`,
  );
}
const { difference, margin } = pairedDifference(top1.get("bfloat16")!, top1.get("float32")!);
console.log(`bfloat16 minus float32: ${percent(difference)} ± ${percent(margin)} points (95 % interval)`);
