/** `trainer lr-find`: which learning rate a run could bear, by a short run of its own whose rate grows step by step. */
import type { Command } from "commander";
import { TrainerError } from "../errors.js";
import { createSmoothing, explodes, rateAt, smoothed, suggestRates, type RatePoint } from "../interpret/rate-range.js";
import { blockChart } from "../loop/plan.js";
import type { Plugin } from "../loop/plugin.js";
import { Trainer } from "../loop/trainer.js";
import { toJson } from "../run/json.js";
import { addRunOptions, configFrom, positive, whole, type RunOptions } from "./options.js";
import { columns, print, table, tell, tellWarnings } from "./terminal.js";

interface LrFindOptions extends RunOptions {
  from: number;
  to: number;
  steps: number;
}

export function addLrFind(program: Command): void {
  addRunOptions(program.command("lr-find"))
    .description("find a learning rate: trains a little while the rate grows, and looks at the loss")
    .option("--from <x>", "the first rate", positive, 1e-5)
    .option("--to <x>", "the last rate", positive, 10)
    .option("--steps <n>", "optimizer steps at the most", whole(10), 100)
    .addHelpText(
      "after",
      `
The range test of Smith 2017, with the run's own network, data, augmentation and optimizer; its schedule is set aside.
It ends early once the loss is four times its lowest. Nothing is written, and no run is changed: the test trains weights
of its own and forgets them.

steepest: the rate at which the loss falls fastest. safe: a tenth of the rate at which it is lowest, for the peak of a
schedule. Both are of one seed and few steps: a beginning, not a result.

Example:
  trainer lr-find --preset cifar100-small --data cifar-100-binary.tar.gz`,
    )
    .action(lrFind);
}

async function lrFind({ from, to, steps, ...options }: LrFindOptions): Promise<void> {
  if (from >= to) throw new TrainerError("ERR_OPTION", `--from ${from} must be below --to ${to}.`);
  const { config } = await configFrom(options);
  const stop = new AbortController();
  let planned = steps;
  const growing: Plugin = {
    name: "lr-find",
    options: {},
    apply({ hooks }) {
      hooks.onFitStart.tap(({ progress }) => void (planned = Math.min(steps, progress.totalSteps)));
      // Last: whatever a schedule says, this is the rate.
      hooks.resolveLearningRate.tap({ stage: "last" }, (_, { step }) => rateAt(step, planned, from, to));
    },
  };
  const tested = { maxSteps: undefined, evaluateEvery: Number.MAX_SAFE_INTEGER, onDivergence: "halt" } as const;
  // Early stopping would end the test where the rate begins to hurt, which is what is looked for.
  const plugins = (config.plugins ?? []).filter(({ name }) => name !== "early-stopping");
  const trainer = new Trainer({ ...config, ...tested, plugins }, [growing]);
  const points: RatePoint[] = [];
  const smooth = createSmoothing();
  let lowest = Number.POSITIVE_INFINITY;
  let diverged = false;
  if (!options.quiet) tellWarnings(trainer.events);
  trainer.events.on("diverged", () => (diverged = true));
  trainer.events.on("step", ({ step, learningRate, loss }) => {
    points.push({ rate: learningRate, loss });
    const now = smooth(loss);
    lowest = Math.min(lowest, now);
    if (step >= planned || explodes(now, lowest)) stop.abort("tested"); // nothing is evaluated
  });
  try {
    await trainer.fit({ signal: stop.signal, log: options.quiet ? undefined : tell });
  } catch (error) {
    if (!diverged || points.length === 0) throw error;
  }
  const suggestion = suggestRates(points);
  const text = options.json ? toJson({ points, suggestion: suggestion ?? null }) : described(points, suggestion);
  print(text);
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

function described(points: readonly RatePoint[], suggestion: ReturnType<typeof suggestRates>): string {
  const losses = smoothed(points.map(({ loss }) => loss));
  const width = Math.min(columns(process.stdout), 72);
  const [first, last] = [short(points[0]!.rate), short(points.at(-1)!.rate)];
  const shown = Math.min(points.length, width - 4);
  return [
    `smoothed loss over the learning rate, ${points.length} steps`,
    "",
    // From a little below the lowest: the fall is what is looked for. What has broken away is cut off.
    ...blockChart(losses.map((loss) => Math.min(loss, 1.5 * losses[0]!) - 0.98 * Math.min(...losses)), width, 10),
    `  ${first}${last.padStart(Math.max(1, shown - first.length))}`,
    "",
    suggestion
      ? table([
          ["steepest", short(suggestion.steepest)],
          ["safe", short(suggestion.safe)],
        ])
      : "The loss never fell, so no rate is suggested. Try a lower --from.",
  ].join("\n");
}
