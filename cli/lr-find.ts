/** `trainer lr-find`: which learning rate a run could bear, by a short run of its own whose rate grows step by step. */
import type { Command } from "commander";
import { TrainerError } from "../core/errors.js";
import {
  createSmoothing,
  explodes,
  type RatePoint,
  type RateSuggestion,
  rateAt,
  smoothed,
  suggestRates,
} from "../core/interpret/rate-range.js";
import { blockChart } from "../core/loop/plan.js";
import type { Plugin } from "../core/loop/plugin.js";
import { Trainer } from "../core/loop/trainer.js";
import { toJson } from "../run/json.js";
import { addRunOptions, configFrom, positive, type RunOptions, whole } from "./options.js";
import { columns, liveLine, print, shortened, table, tell, tellWarnings } from "./terminal.js";

interface LrFindOptions extends RunOptions {
  from: number;
  to: number;
  steps: number;
}

export function addLrFind(program: Command): void {
  addRunOptions(program.command("lr-find"))
    .description("find a learning rate: trains a little while the rate grows, and looks at the loss")
    .summary("find a learning rate with a short test")
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
  const live = liveLine();
  const watched = !options.quiet && !options.json;
  if (!options.quiet) tellWarnings(trainer.events);
  trainer.events.on("diverged", () => (diverged = true));
  trainer.events.on("step", ({ step, learningRate, loss }) => {
    points.push({ rate: learningRate, loss });
    const now = smooth(loss);
    lowest = Math.min(lowest, now);
    if (watched)
      live.draw((width) =>
        shortened(`step ${step}/${planned}  rate ${short(learningRate)}  loss ${short(now)}`, width),
      );
    if (step >= planned || explodes(now, lowest)) stop.abort("tested"); // nothing is evaluated
  });
  try {
    await trainer.fit({ signal: stop.signal, log: options.quiet ? undefined : tell });
  } catch (error) {
    if (!diverged || points.length === 0) throw error;
  } finally {
    live.clear();
  }
  const suggestion = suggestRates(points);
  const text = options.json ? toJson({ points, suggestion: suggestion ?? null }) : described(points, suggestion);
  print(text);
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

const chartRows = 10;

/** The smoothed losses with numbers beside them, and below them the rates with marks at the suggested ones. */
function described(points: readonly RatePoint[], suggestion: RateSuggestion | undefined): string {
  const losses = smoothed(points.map(({ loss }) => loss));
  // From a little below the lowest: the fall is what is looked for. What has broken away is cut off.
  const floor = 0.98 * Math.min(...losses);
  const heights = losses.map((loss) => Math.min(loss, 1.5 * losses[0]!) - floor);
  const top = Math.max(...heights);
  const numbers = Array.from({ length: chartRows }, (_, row) =>
    row % 3 === 0 ? short(floor + (top * (chartRows - row)) / chartRows) : "",
  );
  const margin = Math.max(...numbers.map((number) => number.length));
  const width = Math.min(columns(process.stdout), 72) - margin;
  const chart = blockChart(heights, width, chartRows).map((line, row) =>
    `${numbers[row]!.padStart(margin)}${line}`.trimEnd(),
  );
  const shown = Math.min(points.length, width - 4);
  const [first, last] = [points[0]!.rate, points.at(-1)!.rate];
  const marks = suggestion && marksOf({ s: suggestion.steepest, a: suggestion.safe }, { first, last, width: shown });
  const left = " ".repeat(margin + 2);
  return [
    `smoothed loss over the learning rate, ${points.length} steps`,
    "",
    ...chart,
    ...(marks ? [left + marks] : []),
    `${left}${short(first)}${short(last).padStart(Math.max(1, shown - short(first).length))}`,
    "",
    suggestion
      ? table([
          ["s  steepest", short(suggestion.steepest)],
          ["a  safe", short(suggestion.safe)],
        ])
      : "The loss never fell, so no rate is suggested. Try a lower --from.",
  ].join("\n");
}

/** A line with each letter where its rate lies, "*" where several do; what lies beside the chart is left out. */
export function marksOf(
  rates: Readonly<Record<string, number>>,
  { first, last, width }: { first: number; last: number; width: number },
): string {
  const line = new Array<string>(width).fill(" ");
  for (const [letter, rate] of Object.entries(rates)) {
    const place = Math.round(((width - 1) * Math.log(rate / first)) / Math.log(last / first));
    if (place >= 0 && place < width) line[place] = line[place] === " " ? letter : "*";
  }
  return line.join("").trimEnd();
}
