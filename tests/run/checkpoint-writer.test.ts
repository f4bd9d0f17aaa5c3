/**
 * Which moments of a run become checkpoints, what each holds of it, and which of them stay: the last two and the best,
 * whoever saved them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadBackend } from "../../core/index.js";
import { beginning, bestOf, type Position } from "../../core/loop/position.js";
import type { ResumePointKind } from "../../core/loop/recovery.js";
import type { Snapshot } from "../../core/loop/snapshot.js";
import { epochEnd } from "../../core/testing/index.js";
import {
  type CheckpointWriterOptions,
  createCheckpointWriter,
  fromCheckpoint,
  isBetweenSteps,
  toCheckpoint,
} from "../../run/checkpoint-writer.js";
import { listCheckpoints, newestCheckpoint, readCheckpoint, saveCheckpoint } from "../../run/checkpoints.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-keeper-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(base, "run-"))));

const none = new Map();
const snapshot = (position: Partial<Position>): Snapshot => ({
  position: { ...beginning(), ...position },
  weights: none,
  slots: none,
  taps: none,
  counts: none,
  plugins: none,
});
const keeper = (options: Partial<CheckpointWriterOptions> = {}) => createCheckpointWriter({ folder, ...options });
/** Where a run is after so many steps of one micro-batch, in the middle of an epoch. */
const within = (step: number): Snapshot => snapshot({ step, microBatch: step, batchInEpoch: step });
/** And at the end of an epoch of ten such steps. */
const after = (epoch: number, best?: Position["best"]): Snapshot =>
  snapshot({ epoch, step: 10 * epoch, microBatch: 10 * epoch, best });
/** Epochs after `from` with these validation losses; what the best is, the loop decides. */
const epochs = (keep: ReturnType<typeof keeper>, losses: readonly number[], from = after(0)): Snapshot => {
  keep(from, "start");
  return losses.reduce((before, loss) => {
    const epoch = before.position.epoch + 1;
    const position = { ...before.position, step: 10 * epoch };
    const ended = after(epoch, bestOf(position, epochEnd(epoch - 1, { loss }), { metric: "loss", direction: "lower" }));
    keep(ended, "epoch");
    return ended;
  }, from);
};
const kept = (): number[] => listCheckpoints(folder).map(({ step }) => step);
const last = () => newestCheckpoint(folder).checkpoint!;

describe("which stay", () => {
  it("the last two and the best", () => {
    epochs(keeper(), [3, 1, 2, 2, 2]);
    expect(kept()).toEqual([20, 40, 50]);
  });

  it("the best of a process before it", () => {
    let end = epochs(keeper(), [3, 1, 2]);
    end = epochs(keeper(), [2, 2, 2], end);
    expect(kept()).toEqual([20, 50, 60]);
    epochs(keeper(), [0.5, 2, 2], end);
    expect(kept()).toEqual([70, 80, 90]);
  });

  it("the earlier of two that are as good", () => {
    epochs(keeper(), [2, 1, 1, 2, 2]);
    expect(kept()).toEqual([20, 40, 50]);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("never %d for the best, nor does it take the best's place", (odd) => {
    epochs(keeper(), [odd, 1, odd, 2, 2, odd]);
    expect(kept()).toEqual([20, 50, 60]);
  });

  it("no epoch where none is the best", () => {
    const keep = keeper();
    keep(after(0), "start");
    for (const epoch of [1, 2, 3]) keep(after(epoch), "epoch");
    expect(kept()).toEqual([20, 30]);
  });
});

describe("which moments are kept", () => {
  it("every so many steps, at windows' ends, and where a run stops, but no place twice", () => {
    const keep = keeper({ every: 2 });
    const at = (step: number, point: ResumePointKind, batches = 0): void => {
      const window = { ...beginning().window, batches };
      keep(snapshot({ step, microBatch: 2 * step + batches, batchInEpoch: 2 * step + batches, window }), point);
    };
    at(0, "start");
    at(0, "step");
    expect(kept()).toEqual([]);
    at(1, "step");
    at(1, "step", 1);
    at(2, "step");
    at(2, "step", 1);
    expect(kept()).toEqual([2]);
    at(2, "stop", 1);
    at(2, "stop", 1);
    expect(listCheckpoints(folder).map(({ step, part }) => [step, part])).toEqual([
      [2, 0],
      [2, 2],
    ]);
  });

  it("no step without an interval, but where the run stops", () => {
    const keep = keeper();
    keep(within(0), "start");
    for (let step = 1; step <= 3; step++) keep(within(step), "step");
    expect(kept()).toEqual([]);
    keep(within(3), "stop");
    expect(kept()).toEqual([3]);
  });

  it("nothing where the run stops before its first micro-batch", () => {
    const keep = keeper({ every: 1 });
    keep(within(0), "start");
    keep(within(0), "stop");
    expect(kept()).toEqual([]);
  });

  it("the end of an epoch beside its last step, and not again where the run stops there", () => {
    const saved: number[] = [];
    const keep = keeper({ every: 5, onSaved: ({ step }) => void saved.push(step) });
    keep(within(0), "start");
    keep(within(10), "step");
    keep(after(1), "epoch");
    keep(after(1), "stop");
    expect(saved).toEqual([10, 10]);
    expect(listCheckpoints(folder).map(({ step, part }) => [step, part])).toEqual([
      [10, 0],
      [10, 1],
    ]);
  });

  it("those of steps that are made again", () => {
    const saved: number[] = [];
    const keep = keeper({ every: 2, onSaved: ({ step }) => void saved.push(step) });
    keep(within(0), "start");
    keep(within(2), "step");
    keep(within(0), "rollback");
    expect(kept()).toEqual([]);
    keep(within(2), "step");
    expect([saved, kept()]).toEqual([[2, 2], [2]]);
  });

  it("tells of each with its path, its step and its size", () => {
    const saved: object[] = [];
    const keep = keeper({ every: 2, onSaved: (each) => void saved.push(each) });
    keep(within(0), "start");
    for (const step of [2, 3, 4]) keep(within(step), "step");
    expect(saved).toEqual(
      listCheckpoints(folder).map(({ path, step }) => ({
        path,
        step,
        bytes: saveCheckpoint(folder, readCheckpoint(path)).bytes,
      })),
    );
    expect(kept()).toEqual([2, 4]);
  });
});

describe("what has another future", () => {
  const removed: string[] = [];
  const onRemoved = (path: string): void => void removed.push(basename(path));
  beforeEach(() => void (removed.length = 0));

  it("is removed where a run goes on from before it, and told, the latest first", () => {
    const keep = keeper({ every: 1, onRemoved });
    keep(within(0), "start");
    for (const step of [1, 2]) keep(within(step), "step");
    keeper({ onRemoved })(within(2), "start");
    expect([removed, kept()]).toEqual([[], [1, 2]]);
    keeper({ onRemoved })(within(0), "start");
    expect(removed).toEqual(["step-00000002", "step-00000001"]);
    expect(kept()).toEqual([]);
  });

  it("is removed where a run goes back, and a best among it is none any more", () => {
    const keep = keeper({ onRemoved });
    epochs(keep, [3, 1, 2]);
    keep(after(1), "rollback");
    expect(kept()).toEqual([]); // the first had gone by then, as the oldest
    expect(removed).toHaveLength(2);
    epochs(keep, [4, 5, 5, 5], after(1));
    expect(kept()).toEqual([20, 40, 50]);
  });

  it("stays where it may, whatever the keeper tells", () => {
    epochs(keeper(), [1, 2]);
    createCheckpointWriter({ folder })(after(1), "start"); // nobody listens
    expect(kept()).toEqual([10]);
  });
});

describe("the metrics", () => {
  const metrics = {
    bytes: 0,
    cuts: [] as number[],
    syncs: 0,
    sync: () => void metrics.syncs++,
    cut: (bytes: number) => void metrics.cuts.push(bytes),
  };
  beforeEach(() => void Object.assign(metrics, { bytes: 0, cuts: [], syncs: 0 }));
  const said = (bytes: number): void => void (metrics.bytes = bytes);

  it("are kept as they were at the point, and not with what was said since", () => {
    const keep = keeper({ metrics });
    said(100);
    keep(within(3), "step");
    said(170); // the interrupted epoch is summed up
    keep(within(3), "stop");
    expect(last().meta.metricsBytes).toBe(100);
  });

  it("are on disk before the checkpoint is, and only for one", () => {
    const seen: number[] = [];
    const sync = (): void => void seen.push(kept().length);
    const keep = keeper({ every: 2, metrics: { ...metrics, sync } });
    keep(within(0), "start");
    keep(within(1), "step");
    expect(seen).toEqual([]);
    keep(within(2), "step");
    expect([seen, kept()]).toEqual([[0], [2]]);
  });

  it("are cut to the beginning of the epoch where a run goes back", () => {
    const keep = keeper({ metrics });
    said(10);
    keep(within(0), "start");
    said(20);
    keep(within(4), "step");
    keep(within(0), "rollback");
    said(50);
    keep(after(1), "epoch");
    said(60);
    keep(snapshot({ epoch: 1, step: 12, microBatch: 12, batchInEpoch: 2 }), "step");
    keep(after(1), "rollback");
    expect(metrics.cuts).toEqual([10, 50]);
  });

  it("of the epoch's beginning are in a checkpoint in its middle, and are cut to by whoever goes on from there", () => {
    const middle = { ...within(4), anchor: within(0) };
    const keep = keeper({ metrics, every: 4 });
    said(10);
    keep(within(0), "start");
    said(20);
    keep(middle, "step");
    expect(last().meta).toMatchObject({ metricsBytes: 20, anchor: { metricsBytes: 10 } });

    const later = keeper({ metrics, from: last() });
    later(middle, "start");
    later(within(0), "rollback");
    expect(metrics.cuts).toEqual([10]);
  });

  it("are cut to where it resumed by a run whose checkpoint has no such beginning", () => {
    const keep = keeper({ metrics, from: toCheckpoint(within(4), 20) });
    said(20);
    keep(within(4), "start");
    keep(within(0), "rollback");
    expect(metrics.cuts).toEqual([20]);
  });

  it("need not be there", () => {
    const keep = keeper();
    keep(within(3), "step");
    keep(within(3), "stop");
    expect(last().meta.metricsBytes).toBe(0);
  });
});

it("says once that it cannot save, and writes nothing after that", () => {
  const keep = createCheckpointWriter({ folder: join(folder, "checkpoints"), every: 1 });
  keep(within(0), "start");
  writeFileSync(join(folder, "checkpoints"), "a file where a folder should be");
  expect(() => keep(within(1), "step")).toThrow(expect.objectContaining({ code: "ERR_IO" }));
  rmSync(join(folder, "checkpoints"));
  keep(within(2), "step");
  keep(within(2), "stop");
  expect(listCheckpoints(join(folder, "checkpoints"))).toEqual([]);
});

describe("a snapshot on disk", () => {
  beforeAll(async () => void (await loadBackend({ name: "wasm" })));
  const filled = (first: number, position: Partial<Position>): Snapshot => ({
    ...snapshot(position),
    weights: new Map<string, tf.Tensor>([
      ["dense/kernel", tf.tensor2d([[first, 2, 3]])],
      ["dense/bias", tf.scalar(first)],
    ]),
    slots: new Map([["dense/kernel.momentum", tf.tensor1d([first + 0.5])]]),
    counts: new Map([
      ["dense/kernel", first],
      ["dense/bias", 7],
    ]),
    plugins: new Map([
      ["ema", { values: { decay: first }, tensors: new Map([["shadow/kernel", tf.tensor1d([first, 9], "int32")]]) }],
      ["ema2", { values: undefined, tensors: new Map([["shadow", tf.scalar(first)]]) }],
      ["counter", { values: [first] }],
    ]),
  });
  /** With numbers in the place of tensors. */
  const plain = ({ position, weights, slots, counts, plugins, anchor }: Snapshot): unknown => {
    const read = (tensors: ReadonlyMap<string, tf.Tensor> = none) =>
      Object.fromEntries(
        [...tensors].map(([name, value]) => [name, [value.dtype, value.shape, [...value.dataSync()]]]),
      );
    const states = [...plugins].map(([name, { values, tensors }]) => [name, { values, tensors: read(tensors) }]);
    return {
      position,
      weights: read(weights),
      slots: read(slots),
      counts: [...counts],
      plugins: Object.fromEntries(states) as object,
      anchor: anchor && plain(anchor),
    };
  };

  it("names each tensor by what it is of, and each place by its step and what follows it", () => {
    const { tensors, meta, step, part } = toCheckpoint(filled(1, { step: 5, batchInEpoch: 5 }), 30);
    expect([...tensors]).toEqual([
      ["weights/dense/kernel", { shape: [1, 3], data: Float32Array.of(1, 2, 3) }],
      ["weights/dense/bias", { shape: [], data: Float32Array.of(1) }],
      ["slots/dense/kernel.momentum", { shape: [1], data: Float32Array.of(1.5) }],
      ["plugins/ema/shadow/kernel", { shape: [2], data: Int32Array.of(1, 9) }],
      ["plugins/ema2/shadow", { shape: [], data: Float32Array.of(1) }],
    ]);
    expect(meta).toEqual({
      position: { ...beginning(), step: 5, batchInEpoch: 5 },
      counts: { "dense/kernel": 1, "dense/bias": 7 },
      plugins: { ema: { decay: 1 }, ema2: null, counter: [1] },
      metricsBytes: 30,
    });
    expect([step, part]).toEqual([5, 0]);
  });

  it("comes back as it was, what it goes back to beside it", () => {
    const whole: Snapshot = { ...filled(1, { step: 5, batchInEpoch: 5 }), anchor: filled(2, { step: 3 }) };
    saveCheckpoint(folder, toCheckpoint(whole, 30, 20));
    const found = last();
    expect(found.meta).toMatchObject({ metricsBytes: 30, anchor: { metricsBytes: 20, position: { step: 3 } } });
    const back = fromCheckpoint(found);
    expect(plain(back)).toEqual(plain(whole));
    expect(back.anchor).toBeDefined();
  });

  it("has nothing to go back to where there was nothing", () => {
    const back = fromCheckpoint(toCheckpoint(filled(1, {}), 0));
    expect("anchor" in back).toBe(false);
    expect("anchor" in toCheckpoint(filled(1, {}), 0).meta).toBe(false);
  });

  it("gives tensors that are the caller's, in a scope that ends too", () => {
    const checkpoint = toCheckpoint(filled(1, {}), 0);
    const before = tf.memory().numTensors;
    const back = tf.tidy(() => {
      const { weights } = fromCheckpoint(checkpoint);
      return weights as unknown as tf.TensorContainer; // a map, in which `tidy` finds nothing
    }) as unknown as Snapshot["weights"];
    expect(tf.memory().numTensors).toBe(before + checkpoint.tensors.size);
    expect([...back.get("dense/kernel")!.dataSync()]).toEqual([1, 2, 3]);
  });

  it.each([
    ["the beginning", {}, 0],
    ["the end of an epoch", { epoch: 1 }, 1],
    ["a place between two steps", { epoch: 1, batchInEpoch: 3 }, 0],
    ["the first micro-batch of a window", { batchInEpoch: 3, window: { ...beginning().window, batches: 1 } }, 2],
    ["the second", { epoch: 1, batchInEpoch: 3, window: { ...beginning().window, batches: 2 } }, 4],
  ])("has a place of its own at %s", (_, position, part) => {
    const place = toCheckpoint(snapshot({ step: 8, ...position }), 0);
    expect([place.step, place.part]).toEqual([8, part]);
    expect(isBetweenSteps({ part })).toBe(part < 2);
  });
});
