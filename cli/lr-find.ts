/** `trainer lr-find`: suggests a learning rate, by a short training with a growing rate. */
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { TrainerError } from "../core/errors.js";
import { short } from "../core/format.js";
import {
  createSmoothing,
  explodes,
  type RatePoint,
  type RateProblem,
  type RateSuggestion,
  rateAt,
  smoothed,
  suggestRates,
} from "../core/interpret/rate-range.js";
import { blockChart } from "../core/loop/plan.js";
import type { Plugin } from "../core/loop/plugin.js";
import { Trainer } from "../core/loop/trainer.js";
import { rateChartSvg } from "../report/rate-chart.js";
import { toJson } from "../run/json.js";
import { writing } from "../run/output.js";
import { openTrainedNetwork } from "../run/trained-network.js";
import { addRunOptions, configFrom, positive, type RunOptions, whole } from "./options.js";
import { columns, liveLine, print, shortened, table, tell, tellWarnings } from "./terminal.js";

interface LrFindOptions extends RunOptions {
  from: number;
  to: number;
  steps: number;
  out?: string;
}

export function addLrFind(program: Command): void {
  addRunOptions(program.command("lr-find"))
    .description("find a learning rate: train briefly while the rate grows, and watch the loss")
    .summary("find a learning rate with a short test")
    .option("--from <x>", "first learning rate", positive, 1e-5)
    .option("--to <x>", "last learning rate", positive, 10)
    .option("--steps <n>", "optimizer steps at most", whole(10), 300)
    .option("--out <file>", "write the curve as an SVG image; the file must not exist yet")
    .addHelpText(
      "after",
      `
The range test of Smith 2017, with the config's network, data, augmentation and
optimizer, but without its schedule. The test ends early once the loss is four
times its lowest. It trains weights of its own and writes no run.

  steepest  the rate with the steepest fall of the loss
  safe      a tenth of the largest rate whose loss is still about the lowest,
            for the peak of a schedule

Both come from one seed and few steps. Treat them as a starting point.

Examples:
  trainer lr-find --preset quickstart --out lr.svg
  trainer lr-find --preset cifar100-small --data cifar-100-binary.tar.gz`,
    )
    .action(lrFind);
}

async function lrFind({ from, to, steps, out, ...options }: LrFindOptions): Promise<void> {
  if (from >= to) throw new TrainerError("ERR_OPTION", `expected --from below --to, got ${from} and ${to}.`);
  const file = out === undefined ? undefined : resolve(out);
  if (file !== undefined && existsSync(file)) {
    throw new TrainerError("ERR_OUTPUT", `${file} already exists. Choose another path with --out.`);
  }
  const { config } = await configFrom(options);
  const stop = new AbortController();
  let planned = steps;
  let chance: number | undefined;
  const growing: Plugin = {
    name: "lr-find",
    options: {},
    apply({ hooks }) {
      hooks.onFitStart.tap(({ data, progress }) => {
        planned = Math.min(steps, progress.totalSteps);
        chance = Math.log(data.classes.length);
      });
      // Last: replaces the rate of any schedule.
      hooks.resolveLearningRate.tap({ stage: "last" }, (_, { step }) => rateAt(step, planned, from, to));
    },
  };
  const tested = {
    maxSteps: undefined,
    maxTime: undefined,
    evaluateEvery: Number.MAX_SAFE_INTEGER,
    onDivergence: "halt",
  } as const;
  // Early stopping would end the test where the rate becomes too large, which is the point of the test.
  const plugins = (config.plugins ?? []).filter(({ name }) => name !== "early-stopping");
  const trainer = new Trainer({ ...config, epochs: config.epochs ?? steps, ...tested, plugins }, [growing]);
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
    await trainer.fit({
      signal: stop.signal,
      log: options.quiet ? undefined : tell,
      openNetwork: openTrainedNetwork,
    });
  } catch (error) {
    if (!diverged || points.length === 0) throw error;
  } finally {
    live.clear();
  }
  const found = suggestRates(points, chance);
  const suggestion = "problem" in found ? undefined : found;
  if (file !== undefined) {
    const svg = rateChartSvg(points, trainer.config.name, suggestion);
    writing(file, () => writeFileSync(file, svg, { flag: "wx" }));
  }
  const problem = "problem" in found ? sentenceOf(found, points.length) : undefined;
  if (options.json) print(toJson({ points, suggestion: suggestion ?? null, problem }));
  else
    print(
      [described(points, suggestion), "", problem ?? rateTable(suggestion!), ...(file ? ["", file] : [])].join("\n"),
    );
}

function sentenceOf({ problem, lowest, needed }: RateProblem, steps: number): string {
  if (problem === "short")
    return `The test ended after ${steps} steps, too few to suggest a rate. Lower --from, or raise --steps.`;
  return (
    `The curve is too flat to suggest a rate: the lowest smoothed loss is ${short(lowest)}, but a network that has learned ` +
    `something would be below ${short(needed)}. Give the test more steps (--steps ${2 * steps}), more epochs to take them from ` +
    "(--epochs), or another range (--from, --to)."
  );
}

const rateTable = ({ steepest, safe }: RateSuggestion): string =>
  table([
    ["s  steepest", short(steepest)],
    ["a  safe", short(safe)],
  ]);

const chartRows = 10;

/** A chart of the smoothed loss over the rate, with marks at the suggested rates. */
function described(points: readonly RatePoint[], suggestion: RateSuggestion | undefined): string {
  const losses = smoothed(points.map(({ loss }) => loss));
  // The axis starts a little below the lowest loss. Diverging losses are cut off.
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
  ].join("\n");
}

/** A line with a letter at the place of each rate, "*" for several; rates outside the chart are omitted. */
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
