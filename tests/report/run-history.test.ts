/** What lines of metrics come to: steps, epochs, and the time that steps took. */
import { describe, expect, it } from "vitest";
import { createRunHistory, epochLine, secondsLine, thinned } from "../../report/run-history.js";

const step = (at: number, more: object = {}) => ({ event: "step", step: at, loss: 1, top1: 0.5, ...more });
const timed = (at: number, seconds: number) => step(at, { samples: 32, imagesPerSecond: 32 / seconds });
const epoch = (at: number, step: number, validation?: object) => ({
  event: "epoch:end",
  epoch: at,
  step,
  train: { loss: 1, top1: 0.5 },
  ...(validation ? { validation } : {}),
  learningRate: 0.1,
  imagesPerSecond: 9,
});
const historyOf = (lines: readonly object[]) => {
  const history = createRunHistory();
  for (const line of lines) history.add(line as never);
  return history;
};

describe("a run's history", () => {
  it("forgets steps and epochs that a run goes back over", () => {
    const lines = [step(1), step(2), epoch(0, 2), step(3), step(4), epoch(1, 4), step(2), epoch(0, 2)];
    const { steps, epochs } = historyOf(lines);
    expect(steps.buckets.map(({ step: at }) => at)).toEqual([1, 2]);
    expect(epochs.map(({ step: at }) => at)).toEqual([2]);
  });

  it("takes no line for an epoch that lacks one of its figures", () => {
    const { train: _, ...less } = epoch(0, 2);
    const odd = [
      less,
      { ...epoch(0, 2), step: "2" },
      epoch(0, 2, { loss: 1 }),
      { ...epoch(0, 2), event: "epoch:start" },
    ];
    expect(historyOf(odd).epochs).toEqual([]);
    expect(historyOf([...odd, epoch(0, 2, { loss: "NaN", top1: 0 })]).epochs).toHaveLength(1);
  });

  it("adds up what steps took, also of a log that leaves steps out or goes back", () => {
    expect(secondsLine(historyOf([timed(1, 2), timed(2, 3), timed(3, 1)]))).toEqual({
      steps: [0, 1, 2, 3],
      values: [0, 2, 5, 6],
    });
    expect(secondsLine(historyOf([timed(10, 2), timed(20, 3)]))!.values).toEqual([0, 20, 50]);
    expect(secondsLine(historyOf([timed(1, 2), timed(2, 30), timed(2, 3)]))!.values).toEqual([0, 2, 5]);
    expect(secondsLine(historyOf([step(1), step(2)]))).toBeUndefined();
    const odd = historyOf([
      step(1, { samples: 32, imagesPerSecond: 0 }),
      step(2, { samples: "x", imagesPerSecond: 1 }),
    ]);
    expect(secondsLine(odd)).toBeUndefined();
  });

  it("keeps the time until the last step however many there are", () => {
    const history = createRunHistory();
    for (let at = 1; at <= 10_000; at++) history.add(timed(at, 0.5));
    const line = secondsLine(history)!;
    expect(line.values.at(-1)).toBeCloseTo(5000, 6);
    expect(line.values).toEqual([...line.values].sort((a, b) => a - b));
  });

  it("counts epochs by the steps in one, or by their ends", () => {
    expect(epochLine(historyOf([step(1, { stepsPerEpoch: 50, totalSteps: 100 }), epoch(0, 50)]))).toEqual({
      steps: [0, 50],
      values: [0, 1],
    });
    expect(epochLine(historyOf([step(1), epoch(0, 50), epoch(1, 90)]))).toEqual({
      steps: [0, 50, 90],
      values: [0, 1, 2],
    });
    expect(epochLine(historyOf([step(1)]))).toBeUndefined();
  });
});

it("a line of many points is thinned, and its ends stay", () => {
  const steps = Array.from({ length: 1001 }, (_, at) => at);
  const thin = thinned({ steps, values: steps.map((at) => 2 * at) }, 200);
  expect(thin.steps.length).toBeLessThanOrEqual(202);
  expect([thin.steps[0], thin.steps.at(-1), thin.values.at(-1)]).toEqual([0, 1000, 2000]);
  expect(thinned({ steps: [0, 1], values: [0, 5] }, 200)).toEqual({ steps: [0, 1], values: [0, 5] });
});
