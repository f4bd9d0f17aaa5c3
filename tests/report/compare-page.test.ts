/** What several runs have in common, what they differ in, and which of them count. */
import { describe, expect, it } from "vitest";
import {
  comparePage,
  differences,
  figureOf,
  flattened,
  groupsOf,
  leftOut,
  namesOf,
} from "../../report/compare-page.js";
import { createTold, type RunParts } from "../../report/run-page.js";

const part = (name: string, options: object = {}) => ({ name, options });
const recordOf = (more: object) =>
  ({
    name: "net",
    seed: 1,
    epochs: 2,
    data: part("shapes"),
    model: part("resnet9"),
    optimizer: part("sgd"),
    plugins: [],
    environment: { backend: "tensorflow", threads: 2, node: "22" },
    ...more,
  }) as unknown as NonNullable<RunParts["record"]>;
const runOf = (name: string, record: object | undefined, top1?: number): RunParts => ({
  folder: `/runs/${name}`,
  told: createTold(),
  record: record && recordOf(record),
  summary:
    top1 === undefined
      ? undefined
      : ({ stopReason: "epochs", test: { top1, top5: 1, loss: 1 }, imagesPerSecond: 9, seconds: 1 } as never),
  kept: { splits: {} },
  status: "ended",
  picture: () => undefined,
});
const sizes = (runs: RunParts[]): number[] => groupsOf(runs).map(({ runs: members }) => members.length);

describe("groups", () => {
  it("are of all but the seed, and of the surroundings the backend alone", () => {
    expect(sizes([runOf("a", { seed: 1 }), runOf("b", { seed: 2 })])).toEqual([2]);
    expect(
      sizes([runOf("a", {}), runOf("b", { environment: { backend: "tensorflow", threads: 8, node: "20" } })]),
    ).toEqual([2]);
    expect(sizes([runOf("a", {}), runOf("b", { environment: { backend: "wasm" } })])).toEqual([1, 1]);
    expect(
      sizes([runOf("a", { plugins: [part("ema"), part("l2")] }), runOf("b", { plugins: [part("l2"), part("ema")] })]),
    ).toEqual([1, 1]);
  });

  it("hold no run of which nobody knows the config", () => {
    expect(sizes([runOf("a", undefined), runOf("b", undefined)])).toEqual([1, 1]);
  });

  it("have the mean and the deviation of their seeds, of which each counts once", () => {
    const runs = [runOf("a", { seed: 1 }, 0.5), runOf("b", { seed: 2 }, 0.7)];
    const figure = { count: 2, mean: expect.closeTo(0.6, 12), deviation: expect.closeTo(0.2 / Math.SQRT2, 12) };
    expect(figureOf({ runs }, "test top-1")).toEqual(figure);
    // A third of the second seed would draw the mean to it, and make the deviation smaller.
    expect(figureOf({ runs: [...runs, runOf("c", { seed: 2 }, 0.7)] }, "test top-1")).toEqual(figure);
    expect(figureOf({ runs: [runOf("a", {}, 0.5), runOf("b", {}, 0.5)] }, "test top-1")).toEqual({
      count: 1,
      mean: 0.5,
    });
  });

  it("take a seed's figure from the run that has one", () => {
    const runs = [
      runOf("broken off", { seed: 1 }),
      runOf("whole", { seed: 1 }, 0.5),
      runOf("diverged", { seed: 2 }, Number.NaN),
    ];
    expect(figureOf({ runs }, "test top-1")).toEqual({ count: 1, mean: 0.5 });
    expect(figureOf({ runs: [runs[0]!] }, "test top-1")).toEqual({ count: 0 });
  });
});

describe("runs that did not finish", () => {
  const cut = (name: string, seed: number, stopReason: string): RunParts => {
    const run = runOf(name, { seed }, 0.1);
    return { ...run, summary: { ...run.summary!, stopReason } };
  };
  const told = createTold(); // a good epoch, of a run that never came to its end
  told.add({
    event: "epoch:end",
    epoch: 0,
    step: 1,
    train: { loss: 1, top1: 0.5 },
    validation: { loss: 0.01, top1: 0.99 },
    learningRate: 0.1,
    imagesPerSecond: 9,
  });
  const brokeOff: RunParts = { ...runOf("killed", { seed: 5 }), told, status: "broke off" };
  const runs = [
    runOf("a", { seed: 1 }, 0.5),
    runOf("b", { seed: 2 }, 0.7),
    cut("stopped", 3, "interrupted (SIGINT)"),
    cut("bad", 4, "failed: NaN"),
    brokeOff,
  ];

  it("are in no mean, and one sentence names them", () => {
    expect(figureOf({ runs }, "test top-1")).toEqual({
      count: 2,
      mean: expect.closeTo(0.6, 12),
      deviation: expect.any(Number),
    });
    expect(figureOf({ runs: [brokeOff] }, "held-out top-1")).toEqual({ count: 0 });
    expect(leftOut(groupsOf(runs))).toEqual([
      "Runs that did not finish are left out of means and deviations: stopped (interrupted (SIGINT)), bad (failed: NaN), killed (broke off).",
    ]);
  });

  it("that stopped early on purpose have finished", () => {
    expect(
      figureOf({ runs: [cut("early", 1, "no better for 3 epochs"), cut("short", 2, "max steps")] }, "test top-1").count,
    ).toBe(2);
  });

  it("are told on the page, beside of how many runs each mean is", () => {
    const [table] = comparePage(runs).blocks as unknown as [
      { note: string; columns: { name: string }[]; rows: unknown[][] },
    ];
    expect(table.note).toContain("killed (broke off)");
    const at = table.columns.findIndex(({ name }) => name.startsWith("finished"));
    expect(table.rows[0]![at]).toBe(2);
    const held = { top1: 0.5, top5: 1, loss: 1, source: "current" };
    const some = runs.map((run, at) =>
      at === 0 ? { ...run, summary: { ...run.summary!, validation: held } as never } : run,
    );
    expect((comparePage(some).blocks[0] as unknown as typeof table).rows[0]![at]).toBe(
      "2; held-out top-1 of 1; held-out loss of 1",
    );
  });
});

it("runs of one basename are named by as much of their path as tells them apart", () => {
  const [one, two, three] = [runOf("x/seed-1", {}), runOf("y/seed-1", {}), runOf("y/seed-2", {})];
  expect([one, two, three].map(namesOf([one, two, three]))).toEqual(["x/seed-1", "y/seed-1", "seed-2"]);
  expect([one, one].map(namesOf([one, one]))).toEqual(["seed-1", "seed-1"]);
  expect(comparePage([one, two, three]).summary).toBe("x/seed-1, y/seed-1, seed-2");
});

describe("repeats of a seed", () => {
  const [first, again, other] = [
    runOf("first", { seed: 1 }, 0.5),
    runOf("again", { seed: 1 }, 0.5),
    runOf("other", { seed: 2 }, 0.6),
  ];

  it("are named in one sentence, and only within a group", () => {
    expect(leftOut(groupsOf([first, other]))).toEqual([]);
    expect(leftOut(groupsOf([first, runOf("longer", { seed: 1, epochs: 9 }, 0.5)]))).toEqual([]);
    expect(leftOut(groupsOf([first, again, other]))).toEqual([
      expect.stringMatching(/not independent.*: again \(that of first\)\.$/),
    ]);
  });

  it("are a note on the page, whose count is of seeds", () => {
    const [table] = comparePage([first, again, other]).blocks as unknown as [{ note: string; rows: unknown[][] }];
    expect(table.note).toContain("again (that of first)");
    expect(table.rows).toHaveLength(1);
    expect(table.rows[0]!.slice(0, 2)).toEqual(["first and 1 more of its seeds, 1 repeated", 2]);
    const [plain] = comparePage([first, other]).blocks as unknown as [{ note: string }];
    expect(plain.note).not.toContain("independent");
  });
});

describe("what configs differ in", () => {
  it("is told by dotted path, plugins by name and not by place", () => {
    const one = runOf("a", { plugins: [part("l2", { scale: 0.1 }), part("ema", { decay: 0.9 })] });
    const two = runOf("b", { plugins: [part("ema", { decay: 0.99 })], model: part("resnet9", { width: [8, 16] }) });
    expect(differences([one, two])).toEqual([
      ["plugins.l2", "used", null],
      ["plugins.l2.scale", "0.1", null],
      ["plugins.ema.decay", "0.9", "0.99"],
      ["model.options.width", null, "[8,16]"],
    ]);
  });

  it("leaves out what a config is not: its file and its surroundings", () => {
    expect(
      [...flattened(recordOf({ source: { path: "x" } })).keys()].filter((path) => /source|environment/.test(path)),
    ).toEqual([]);
    expect(flattened(undefined).size).toBe(0);
  });
});
