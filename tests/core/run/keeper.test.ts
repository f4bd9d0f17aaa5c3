/** Which moments of a run become checkpoints, and which of those stay: the last two and the best, whoever saved them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import type { Position } from "../../../core/loop/position.js";
import { beginning } from "../../../core/loop/position.js";
import type { Snapshot } from "../../../core/loop/snapshot.js";
import { listCheckpoints, newestCheckpoint } from "../../../core/run/checkpoints.js";
import { createKeeper } from "../../../core/run/keeper.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-keeper-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(base, "run-"))));

const none = new Map();
const snapshot = (position: Partial<Position>): Snapshot => ({
  position: { ...beginning(), ...position },
  weights: none,
  slots: none,
  counts: none,
  plugins: none,
});
const keeper = (every?: number) => createKeeper({ folder, every });
const epochs = (keep: ReturnType<typeof keeper>, losses: readonly number[], from = 0): void => {
  keep(snapshot({ epoch: from, step: 10 * from, microBatch: 10 * from }), "start");
  losses.forEach((loss, index) => {
    const epoch = from + index + 1;
    const validation = { count: 4, loss, top1: 0, top5: 1, source: "current" };
    keep(snapshot({ epoch, step: 10 * epoch, microBatch: 10 * epoch, validation }), "epoch");
  });
};
const kept = (): number[] => listCheckpoints(folder).map(({ step }) => step);

it("keeps the last two and the best", () => {
  epochs(keeper(), [3, 1, 2, 2, 2]);
  expect(kept()).toEqual([20, 40, 50]);
});

it("knows the best of a process before it", () => {
  epochs(keeper(), [3, 1, 2]);
  epochs(keeper(), [2, 2, 2], 3);
  expect(kept()).toEqual([20, 50, 60]);
  epochs(keeper(), [0.5, 2, 2], 6);
  expect(kept()).toEqual([70, 80, 90]);
});

it.each([Number.NaN, Number.POSITIVE_INFINITY])("never takes %d for the best, nor lets it take the best's place", (odd) => {
  epochs(keeper(), [odd, 1, odd, 2, 2, odd]);
  expect(kept()).toEqual([20, 50, 60]);
});

it("keeps every so many steps, at windows' ends, and where a run stops, but no place twice", () => {
  const keep = keeper(2);
  const at = (step: number, moment: "start" | "step" | "stop", batches = 0): void => {
    const window = { ...beginning().window, batches };
    keep(snapshot({ step, microBatch: 2 * step + batches, batchInEpoch: 2 * step + batches, window }), moment);
  };
  at(0, "start");
  expect(kept()).toEqual([]);
  at(1, "step");
  at(1, "step", 1);
  at(2, "step");
  at(2, "step", 1);
  expect(kept()).toEqual([2]);
  at(2, "stop", 1);
  at(2, "stop", 1);
  expect(listCheckpoints(folder).map(({ step, part }) => [step, part])).toEqual([[2, 0], [2, 2]]);
});

it("remembers the metrics as they were at the moment that it keeps, and not what was said since", () => {
  const metrics = { bytes: 100, sync: () => undefined, cut: () => undefined };
  const keep = createKeeper({ folder, metrics });
  const stopped = snapshot({ step: 3, microBatch: 3, batchInEpoch: 3 });
  keep(stopped, "step");
  metrics.bytes = 170; // the interrupted epoch is summed up
  keep(stopped, "stop");
  expect(newestCheckpoint(folder).checkpoint!.meta.metricsBytes).toBe(100);
});
