/** What the lines of a run's `metrics.jsonl` come to. */
import type { EpochRecord } from "../core/loop/events.js";
import type { MetricsLine } from "../run/metrics.js";
import type { Clock, Line } from "./blocks.js";
import { createHistory, type History } from "./history.js";

export interface RunHistory {
  /** Figures of steps; "elapsed" is the training time until the step, in seconds. */
  readonly steps: History;
  readonly epochs: readonly EpochRecord[];
  readonly warnings: readonly string[];
  /** As in the last step's line. */
  readonly stepsPerEpoch?: number;
  readonly totalSteps?: number;
  /** Skips a line that lacks fields, for example of another version. */
  add(line: MetricsLine): void;
}

export function createRunHistory(): RunHistory {
  const steps = createHistory();
  const epochs: EpochRecord[] = [];
  const warnings: string[] = [];
  let planned: { stepsPerEpoch?: number; totalSteps?: number } = {};
  /** Steps that a run goes back over come again, and count once, as in the history. */
  const forgetFrom = (step: number): void => {
    while (epochs.length > 0 && epochs.at(-1)!.step >= step) epochs.pop();
  };
  /** Of logs that leave steps out, each one stands for those before it. */
  const elapsed = (step: number, { samples, imagesPerSecond }: MetricsLine): number | undefined => {
    if (!isPositive(samples) || !isPositive(imagesPerSecond)) return undefined;
    const before = steps.buckets.findLast((bucket) => bucket.step < step);
    return (before?.figures.get("elapsed")?.high ?? 0) + ((step - (before?.step ?? 0)) * samples) / imagesPerSecond;
  };
  return {
    steps,
    epochs,
    warnings,
    get stepsPerEpoch() {
      return planned.stepsPerEpoch;
    },
    get totalSteps() {
      return planned.totalSteps;
    },
    add(line) {
      if (line.event === "step" && typeof line.step === "number") {
        forgetFrom(line.step);
        const { stepsPerEpoch, totalSteps } = line;
        if (isPositive(stepsPerEpoch)) planned = { stepsPerEpoch, ...(isPositive(totalSteps) ? { totalSteps } : {}) };
        steps.add(line.step, { ...line, elapsed: elapsed(line.step, line) });
      } else if (isEpoch(line)) {
        forgetFrom(line.step);
        epochs.push(line);
      } else if (line.event === "warning" && typeof line.message === "string") warnings.push(line.message);
    },
  };
}

const isPositive = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && value > 0;

const isFigure = (value: unknown): boolean => typeof value === "number" || typeof value === "string"; // "NaN", read back
const isFigures = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  "loss" in value &&
  isFigure(value.loss) &&
  "top1" in value &&
  isFigure(value.top1);

function isEpoch(line: MetricsLine): line is MetricsLine & EpochRecord {
  const { event, epoch, step, train, validation, learningRate, imagesPerSecond } = line;
  if (event !== "epoch:end" || typeof epoch !== "number" || typeof step !== "number") return false;
  return (
    isFigures(train) &&
    (validation === undefined || isFigures(validation)) &&
    isFigure(learningRate) &&
    isFigure(imagesPerSecond)
  );
}

/** Epochs by steps; from the epochs themselves where no step says how many there are in one. */
export function epochLine({ stepsPerEpoch, epochs }: RunHistory): Line | undefined {
  if (stepsPerEpoch !== undefined) return { steps: [0, stepsPerEpoch], values: [0, 1] };
  if (epochs.length === 0) return undefined;
  return { steps: [0, ...epochs.map(({ step }) => step)], values: [0, ...epochs.map(({ epoch }) => epoch + 1)] };
}

/** Seconds of training by steps. */
export function secondsLine({ steps }: RunHistory): Line | undefined {
  const known = steps.buckets.flatMap(({ step, figures }): [number, number][] => {
    const elapsed = figures.get("elapsed");
    return elapsed ? [[step, elapsed.high]] : [];
  });
  if (known.length === 0) return undefined;
  return { steps: [0, ...known.map(([step]) => step)], values: [0, ...known.map(([, seconds]) => seconds)] };
}

/** About as many points at the most; the ends stay. */
export function thinned({ steps, values }: Line, most: number): Line {
  const every = Math.ceil(steps.length / most);
  const stays = (_: number, at: number): boolean => at % every === 0 || at === steps.length - 1;
  return { steps: steps.filter(stays), values: values.filter(stays) };
}

/** Time by what steps took in training; evaluations are no part of it. */
export const clockOf = (history: RunHistory): Clock => {
  const [epoch, seconds] = [epochLine(history), secondsLine(history)];
  return { ...(epoch ? { epoch } : {}), ...(seconds ? { seconds: thinned(seconds, 200) } : {}) };
};
