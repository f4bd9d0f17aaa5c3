/**
 * R7: a checkpoint that another version wrote goes on to the end that version came to. The bits are promised for one
 * machine alone; between machines a step may differ in the last of them, so figures are compared to 1e-4 here.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { type ConfigRecord, configRecord, loadBackend, Trainer } from "../../core/index.js";
import { forbiddenChanges } from "../../run/changes.js";
import { fromCheckpoint, toCheckpoint } from "../../run/checkpoint-writer.js";
import { type Checkpoint, listCheckpoints, readCheckpoint } from "../../run/checkpoints.js";
import { toJson } from "../../run/json.js";
import { asOfNow } from "../../run/parts.js";
import { goldenConfig } from "../golden/run/config.js";

const golden = join(import.meta.dirname, "../golden/run");
beforeAll(async () => void (await loadBackend({ name: "wasm" })));

/** What the clock says, and what that version had not thought of. */
const notCompared = new Set(["seconds", "imagesPerSecond", "best"]);
const comparable = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, each: unknown) => (notCompared.has(key) ? undefined : each)));

/** The largest difference between two trees of the same form, relative to the larger number. */
function difference(ours: unknown, theirs: unknown): number {
  if (typeof ours === "number" && typeof theirs === "number") {
    return ours === theirs ? 0 : Math.abs(ours - theirs) / Math.max(Math.abs(ours), Math.abs(theirs), 1e-3);
  }
  if (typeof ours !== "object" || ours === null || theirs === null)
    return ours === theirs ? 0 : Number.POSITIVE_INFINITY;
  expect(Object.keys(ours)).toEqual(Object.keys(theirs as object));
  return Math.max(
    0,
    ...Object.entries(ours).map(([key, value]) => difference(value, (theirs as Record<string, unknown>)[key])),
  );
}

it("the record of version 0.1.0 lets its run go on, whatever fields this version has beside", () => {
  const record = JSON.parse(readFileSync(join(golden, "config.resolved.json"), "utf8")) as ConfigRecord;
  const now = JSON.parse(toJson(configRecord(new Trainer(goldenConfig()).config))) as ConfigRecord;
  expect(forbiddenChanges(asOfNow(record), now)).toEqual([]);
});

it("a checkpoint of version 0.1.0, in the middle of an epoch and of a window, goes on to its golden end", async () => {
  const [middle, end] = listCheckpoints(join(golden, "checkpoints")).map(({ path }) => readCheckpoint(path));
  expect([middle!.step, middle!.part, end!.step]).toEqual([4, 2, 12]);
  const trainer = new Trainer(goldenConfig());
  const steps: object[] = [];
  trainer.events.on(
    "step",
    ({ step, loss, learningRate, gradientNorm }) => void steps.push({ step, loss, learningRate, gradientNorm }),
  );
  let last: Checkpoint | undefined;
  await trainer.fit({
    from: () => fromCheckpoint(middle!),
    onResumePoint: (snapshot, point) => void (point === "stop" && (last = toCheckpoint(snapshot, 0))),
  });
  const told = JSON.parse(readFileSync(join(golden, "steps.json"), "utf8")) as object[];
  expect(difference(steps, told.slice(4))).toBeLessThan(1e-4);
  expect(difference(comparable(last!.meta), comparable(end!.meta))).toBeLessThan(1e-4);
  expect([...last!.tensors.keys()].sort()).toEqual([...end!.tensors.keys()].sort());
  for (const [name, { shape, data }] of end!.tensors) {
    const ours = last!.tensors.get(name)!;
    expect(ours.shape, name).toEqual(shape);
    expect(difference([...ours.data], [...data]), name).toBeLessThan(1e-4);
  }
});
