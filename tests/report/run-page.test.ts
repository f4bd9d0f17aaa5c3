/** What a page says of a run, from parts that are all there, and from few. */
import { describe, expect, it } from "vitest";
import type { Block, Page } from "../../report/blocks.js";
import { createTold, type RunParts, runPage } from "../../report/run-page.js";

const partsOf = (more: Partial<RunParts> = {}): RunParts => ({
  folder: "/runs/net-7",
  told: createTold(),
  kept: { splits: {} },
  status: "broke off",
  picture: () => undefined,
  ...more,
});
const step = (at: number, loss: number): { event: string; step: number; loss: number; top1: number } => ({
  event: "step",
  step: at,
  loss,
  top1: 0.5,
});
const epoch = (at: number, step: number, validation?: object) => ({
  event: "epoch:end",
  epoch: at,
  epochs: 9,
  step,
  train: { loss: 1, top1: 0.5 },
  ...(validation ? { validation } : {}),
  learningRate: 0.1,
  imagesPerSecond: 9,
});
const block = <K extends Block["kind"]>(page: Page, title: string, _: K): Extract<Block, { kind: K }> =>
  page.blocks.find((each) => each.title === title) as Extract<Block, { kind: K }>;

describe("what a run told", () => {
  it("counts from where it was gone back to, steps and epochs alike", () => {
    const told = createTold();
    for (const line of [
      step(1, 9),
      step(2, 8),
      epoch(0, 2),
      step(3, 7),
      step(4, 6),
      epoch(1, 4),
      step(2, 1),
      epoch(0, 2),
    ])
      told.add(line);
    expect(told.steps.buckets.map(({ step: at }) => at)).toEqual([1, 2]);
    expect(told.epochs.map(({ step: at }) => at)).toEqual([2]);
  });

  it("has no epoch of a line that is none", () => {
    const told = createTold();
    const { train: _, ...less } = epoch(0, 2);
    for (const line of [
      less,
      { ...epoch(0, 2), step: "2" },
      epoch(0, 2, { loss: 1 }),
      { ...epoch(0, 2), event: "epoch:start" },
    ])
      told.add(line);
    expect(told.epochs).toEqual([]);
    told.add(epoch(0, 2, { loss: "NaN", top1: 0 }));
    expect(told.epochs).toHaveLength(1);
  });
});

describe("the page", () => {
  it("of a run that has only begun is its facts", () => {
    const page = runPage(partsOf({ status: "running" }));
    expect(page.blocks.map(({ title }) => title)).toEqual(["The run"]);
    expect(page.title).toBe("net-7");
    expect(page.summary).toMatch(/^under way: 0 of \? epochs done\. Written/);
    expect(page.reload).toBeGreaterThan(0);
  });

  it("names its run once, and counts in the words that numbers take", () => {
    const environment = {
      backend: "wasm",
      backendVersion: "4",
      threads: 1,
      node: "22",
      platform: "linux x64",
      processor: "A Processor",
      fitloop: "0.1.0",
    };
    const part = { name: "p", options: {} };
    const record = {
      name: "net",
      seed: 1,
      epochs: 1,
      data: part,
      model: part,
      optimizer: part,
      plugins: [],
      environment,
    } as unknown as NonNullable<RunParts["record"]>;
    const page = runPage(partsOf({ record, status: "running" }));
    expect(page.title).toBe("net-7");
    expect(runPage(partsOf({ record, folder: "/runs/mine" })).title).toBe("net, mine");
    expect(page.summary).toMatch(/^under way: 0 of 1 epoch done\./);
    expect(block(page, "The run", "facts").rows).toEqual(
      expect.arrayContaining([
        ["backend", "wasm 4 on 1 thread"],
        ["processor", "A Processor"],
        ["fitloop", "0.1.0"],
      ]),
    );
  });

  it("draws evaluations as points over the curve of steps, and leaves out what is not finite", () => {
    const told = createTold();
    for (const line of [
      step(1, 4),
      step(2, 3),
      epoch(0, 2, { loss: 3.5, top1: 0.25 }),
      step(3, 2),
      epoch(1, 3, { loss: "NaN", top1: 0.5 }),
    ])
      told.add(line);
    const chart = block(runPage(partsOf({ told })), "Loss", "chart");
    expect(chart.x).toEqual([1, 2, 3]);
    expect(chart.series).toEqual([
      { name: "training", y: [4, 3, 2] },
      { name: "held out", y: [null, 3.5, null], points: true },
    ]);
    const epochs = block(runPage(partsOf({ told })), "Epochs", "table");
    expect(epochs.rows.map((row) => [row[0], row[3]])).toEqual([
      [2, "NaN"],
      [1, 3.5],
    ]); // the newest first
  });

  it("shows least and greatest once a point stands for several steps", () => {
    const told = createTold();
    for (let at = 1; at <= 4000; at++) told.add(step(at, at === 2001 ? 50 : 1));
    const [line] = block(runPage(partsOf({ told })), "Loss", "chart").series;
    expect(Math.max(...line!.high!.map(Number))).toBe(50);
    expect(Math.max(...line!.low!.map(Number))).toBe(1);
  });

  it("leaves out pictures that are not there", () => {
    const augmented = { path: "report/augmented.png", caption: "of an epoch" };
    const kept = { splits: {}, augmented };
    const title = "Training pictures as the network saw them";
    expect(block(runPage(partsOf({ kept })), title, "pictures")).toBeUndefined();
    const shown = block(runPage(partsOf({ kept, picture: (path) => `data:${path}` })), title, "pictures");
    expect(shown.items).toEqual([{ src: "data:report/augmented.png", caption: "of an epoch" }]);
  });
});
