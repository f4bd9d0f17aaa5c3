/** What several runs have in common, what they differ in, and which of them count. */
import { describe, expect, it } from "vitest";
import type { Block, Chart, Measured } from "../../report/blocks.js";
import { comparePage, meanOf } from "../../report/compare-page.js";
import {
  comparedIn,
  dataSetsOf,
  differences,
  figureOf as figureOfGroup,
  flattened,
  groupsOf,
  leftOut,
  namesOf,
} from "../../report/groups.js";
import { createRunHistory } from "../../report/run-history.js";
import type { RunParts } from "../../report/run-page.js";

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
  history: createRunHistory(),
  record: record && recordOf(record),
  summary:
    top1 === undefined
      ? undefined
      : ({ stopReason: "epochs", test: { top1, top5: 1, loss: 1 }, imagesPerSecond: 9, seconds: 1 } as never),
  kept: { splits: {} },
  status: "ended",
  image: () => undefined,
});
const isTable = (block: Block): block is Extract<Block, { kind: "table" }> => block.kind === "table";
const isChart = (block: Block): block is Chart & { title: string } => block.kind === "chart";
/** By its name among those that the runs have. */
const figureOf = (group: { runs: readonly RunParts[] }, name: string) =>
  figureOfGroup(group, comparedIn(group.runs).find((each) => each.name === name)!);
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

  it("keep a run that was given more epochs when it resumed apart from those that had them from the start", () => {
    const extended = [{ atStep: 8, field: "epochs", from: 1, to: 2 }];
    const runs = [runOf("a", { seed: 1 }), runOf("b", { seed: 2, extended })];
    expect(sizes(runs)).toEqual([1, 1]);
    expect(flattened(runs[1]!.record).get("extended")).toBe("epochs 1 -> 2 after step 8");
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
  const history = createRunHistory(); // a good epoch, of a run that never came to its end
  history.add({
    event: "epoch:end",
    epoch: 0,
    step: 1,
    train: { loss: 1, top1: 0.5 },
    validation: { loss: 0.01, top1: 0.99 },
    learningRate: 0.1,
    imagesPerSecond: 9,
  });
  const brokeOff: RunParts = { ...runOf("killed", { seed: 5 }), history, status: "broke off" };
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
    expect(figureOf({ runs: [brokeOff] }, "validation top-1")).toEqual({ count: 0 });
    expect(leftOut(groupsOf(runs))).toEqual([
      "Means and deviations leave out runs that did not finish: stopped (interrupted (SIGINT)), bad (failed: NaN), killed (broke off).",
    ]);
  });

  it("that stopped early on purpose have finished", () => {
    expect(
      figureOf({ runs: [cut("early", 1, "no better for 3 epochs"), cut("short", 2, "max steps")] }, "test top-1").count,
    ).toBe(2);
  });

  it("are told on the page, beside of how many runs each mean is", () => {
    const [table] = comparePage(runs).blocks.filter(isTable);
    expect(table!.note).toContain("killed (broke off)");
    const at = table!.columns.findIndex(({ name }) => name === "finished");
    expect(table!.rows[0]![at]).toBe(2);
    const held = { top1: 0.5, top5: 1, loss: 1, source: "current" };
    const some = runs.map((run, at) =>
      at === 0 ? { ...run, summary: { ...run.summary!, validation: held } as never } : run,
    );
    expect(comparePage(some).blocks.find(isTable)!.rows[0]![at]).toBe("2; validation top-1 of 1; validation loss of 1");
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
      expect.stringMatching(/not independent.*: again \(seed of first\)\.$/),
    ]);
  });

  it("are a note on the page, whose count is of seeds", () => {
    const [table] = comparePage([first, again, other]).blocks.filter(isTable);
    expect(table!.note).toContain("again (seed of first)");
    expect(table!.rows).toHaveLength(1);
    expect(table!.rows[0]!.slice(0, 2)).toEqual(["first and 1 more seed, 1 repeated", 2]);
    const [plain] = comparePage([first, other]).blocks.filter(isTable);
    expect(plain!.note).not.toContain("independent");
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

/** A run of two epochs, whose evaluations are these accuracies. */
function evaluatedRun(name: string, record: object, accuracies: readonly number[]): RunParts {
  const run = runOf(name, record, accuracies.at(-1));
  accuracies.forEach((top1, epoch) => {
    const step = 10 * (epoch + 1);
    run.history.add({ event: "step", step, loss: 1 - top1, top1, samples: 10, imagesPerSecond: 10 } as never);
    const figures = { train: { loss: 1, top1 }, validation: { loss: 1 - top1, top1 } };
    run.history.add({ event: "epoch:end", epoch, step, ...figures, learningRate: 0.1, imagesPerSecond: 9 } as never);
  });
  return run;
}

describe("curves", () => {
  const seeds = [
    evaluatedRun("a", { seed: 1 }, [0.2, 0.6]),
    evaluatedRun("b", { seed: 2 }, [0.4, 0.8]),
    evaluatedRun("again", { seed: 2 }, [0, 0]),
    { ...evaluatedRun("killed", { seed: 3 }, [0.1]), summary: undefined, status: "broke off" as const },
  ];
  const page = comparePage([...seeds, evaluatedRun("c", { epochs: 3 }, [0.5, 0.5])]);
  const chart = page.blocks.filter(isChart).find(({ title }) => title === "Validation accuracy")!;

  it("of a group are a mean with a band over its seeds, each of which counts once", () => {
    const groups = chart.series.filter(({ view }) => view === "mean of each group");
    expect(groups.map(({ name }) => name)).toEqual(["a and 2 more seeds, 1 repeated", "killed", "c"]);
    const [mean, cut] = groups;
    expect(mean!.y.map((value) => value!.toFixed(3))).toEqual(["0.300", "0.700"]);
    expect([mean!.low, mean!.high]).toEqual([
      [0.2, 0.6],
      [0.4, 0.8],
    ]);
    expect(cut!.y).toEqual([0.1]); // drawn, though in no mean
    expect(chart.series.filter(({ view }) => view === "single runs").map(({ name }) => name)).toEqual([
      "a",
      "b",
      "again",
      "killed",
      "c",
    ]);
  });

  it("have a clock each, so that they can stand over epochs and time", () => {
    expect(page.clocks).toHaveLength(5);
    expect(page.clocks![3]).toEqual({
      epoch: { steps: [0, 10], values: [0, 1] },
      seconds: { steps: [0, 10], values: [0, 10] },
    });
    expect(chart.series.find(({ name }) => name === "killed")!.clock).toBe(3);
  });

  it("are averaged at the steps that all have", () => {
    const curves = [
      { x: [1, 2, 3], y: [1, 2, 3] },
      { x: [2, 3, 4], y: [4, 5, 6] },
    ];
    expect(meanOf(curves)).toEqual({ x: [2, 3], y: [3, 4], low: [2, 3], high: [4, 5] });
  });

  it("of single runs have no second view", () => {
    const alone = comparePage([evaluatedRun("a", {}, [0.5]), evaluatedRun("c", { epochs: 3 }, [0.6])]);
    expect(
      alone.blocks.filter(isChart).flatMap(({ series }) => series.filter(({ view }) => view !== undefined)),
    ).toEqual([]);
  });
});

describe("results", () => {
  const runs = [
    evaluatedRun("a", { seed: 1, learningRate: 0.1 }, [0.5]),
    evaluatedRun("b", { seed: 2, learningRate: 0.1 }, [0.7]),
    evaluatedRun("c", { seed: 1, learningRate: 0.01, plugins: [part("ema")] }, [0.9]),
    { ...evaluatedRun("killed", { seed: 2, learningRate: 1 }, [0.1]), summary: undefined },
  ];
  const { blocks } = comparePage(runs);

  it("stand in a table whose best can be marked and whose rows can be compared", () => {
    const table = blocks.find(isTable)!;
    expect(table.compare).toBe(true);
    const at = table.columns.findIndex(({ name }) => name === "test top-1");
    expect(table.columns[at]).toMatchObject({ better: "higher" });
    const [first, second, cut] = table.rows.map((row) => row[at] as Measured | null);
    expect(first).toEqual({ value: expect.closeTo(0.6, 12), deviation: expect.closeTo(0.2 / Math.SQRT2, 12) });
    expect(second).toEqual({ value: 0.9 });
    expect(cut).toBeNull();
  });

  it("stand against each field in which finished runs differ", () => {
    const scatter = blocks.find((block) => block.kind === "scatter")!;
    expect(scatter.x).toEqual([
      { name: "learningRate", values: [0.1, 0.1, 0.01] },
      { name: "plugins.ema", values: ["not used", "not used", "used"] },
    ]);
    expect(scatter.y.find(({ name }) => name === "test top-1")!.values).toEqual([0.5, 0.7, 0.9]);
    expect(scatter.runs.map(({ name, group }) => [name, group])).toEqual([
      ["a", "a and 1 more seed"],
      ["b", "a and 1 more seed"],
      ["c", "c"],
    ]);
    const lines = blocks.find((block) => block.kind === "parallel")!;
    expect([lines.x, lines.y, lines.runs]).toEqual([scatter.x, scatter.y, scatter.runs]);
    expect(lines.y.find(({ name }) => name === "test top-1")!.better).toBe("higher");
    const same = comparePage([runs[0]!, runs[1]!]);
    expect(same.blocks.some(({ kind }) => kind === "scatter")).toBe(false); // they differ in the seed alone
  });
});

describe("a user's own metrics", () => {
  /** A run whose evaluations have these figures beside top-1. */
  const measured = (name: string, record: object, more: Record<string, unknown>): RunParts => {
    const run = evaluatedRun(name, record, [0.5]);
    const figures = { top1: 0.5, top5: 1, loss: 1, source: "current", more };
    run.history.add({
      event: "epoch:end",
      epoch: 0,
      step: 10,
      train: { loss: 1, top1: 0.5 },
      validation: { loss: 1, top1: 0.5, more },
      learningRate: 0.1,
      imagesPerSecond: 9,
    } as never);
    return { ...run, summary: { ...run.summary!, test: figures, validation: figures } as never };
  };
  const monitor = { metric: "cost", direction: "lower" };
  const runs = [
    measured("a", { seed: 1, monitor }, { f1: 0.4, cost: 3, odd: 1 }),
    measured("b", { seed: 2, monitor }, { f1: 0.6, cost: 5, odd: "NaN" }),
    measured("c", { epochs: 3 }, { f1: 0.9 }),
    evaluatedRun("without", { epochs: 4 }, [0.5]),
  ];

  it("are columns of both splits, between the losses and the speeds, and say which way is better where it is known", () => {
    const figures = comparedIn(runs).map(({ name, better }) => [name, better]);
    expect(figures).toEqual([
      ["test top-1", "higher"],
      ["validation top-1", "higher"],
      ["validation loss", "lower"],
      ["test f1", "higher"],
      ["test cost", "lower"],
      ["test odd", undefined],
      ["validation f1", "higher"],
      ["validation cost", "lower"],
      ["validation odd", undefined],
      ["images/s", "higher"],
      ["training, s", "lower"],
    ]);
    expect(comparedIn([runs[3]!])).toHaveLength(5);
  });

  it("have means over seeds; what is no number counts for nothing", () => {
    const figure = { count: 2, mean: expect.closeTo(0.5, 12), deviation: expect.any(Number) };
    expect(figureOf({ runs: runs.slice(0, 2) }, "test f1")).toEqual(figure);
    expect(figureOf({ runs: runs.slice(0, 2) }, "test odd")).toEqual({ count: 1, mean: 1 });
  });

  it("do not take the place of a figure that every run has", () => {
    const [named] = [measured("d", {}, { "top-1": 0.1, loss: 7 })];
    expect(comparedIn([named!]).map(({ name }) => name)).toEqual([
      "test top-1",
      "validation top-1",
      "validation loss",
      "test loss",
      "images/s",
      "training, s",
    ]);
    expect(figureOf({ runs: [named!] }, "test top-1").mean).toBe(0.5);
  });

  it("stand in both tables, in curves of their own and among the results to draw", () => {
    const { blocks } = comparePage(runs);
    for (const table of blocks.filter(isTable).filter(({ title }) => /^(Groups|Single)/.test(title)))
      expect(table.columns.map(({ name }) => name)).toEqual(expect.arrayContaining(["test f1", "validation cost"]));
    const groups = blocks.find(isTable)!;
    const at = (name: string): number => groups.columns.findIndex((column) => column.name === name);
    expect(groups.rows.map((row) => row[at("test f1")])).toEqual([
      { value: 0.5, deviation: expect.closeTo(0.2 / Math.SQRT2, 12) },
      { value: 0.9 },
      null,
    ]);
    expect(groups.rows[0]![at("test odd")]).toEqual({ value: 1 });
    expect(groups.rows[0]![at("finished")]).toBe("2; test odd of 1; validation odd of 1");
    const curve = blocks.filter(isChart).find(({ title }) => title === "Validation f1")!;
    expect(curve.series.map(({ name, y }) => [name, y])).toContainEqual(["c", [0.9]]);
    const scatter = blocks.find((block) => block.kind === "scatter")!;
    expect(scatter.y.find(({ name }) => name === "test f1")!.values).toEqual([0.4, 0.6, 0.9, null]);
  });
});

it("runs of different data are kept apart, with a sentence that says why", () => {
  const [one, two, other] = [
    evaluatedRun("one", {}, [0.5]),
    evaluatedRun("two", { seed: 2 }, [0.6]),
    evaluatedRun("other", { data: part("cifar100") }, [0.9]),
  ];
  expect(dataSetsOf([one, other, two]).map(({ name, runs }) => [name, runs.length])).toEqual([
    ["shapes", 2],
    ["cifar100", 1],
  ]);
  const larger = evaluatedRun("larger", { data: part("shapes", { classes: 20 }) }, [0.5]);
  expect(dataSetsOf([one, larger, other]).map(({ name }) => name)).toEqual(["shapes 1", "shapes 2", "cifar100"]);
  const page = comparePage([one, other, two]);
  expect(page.summary).toMatch(/2 different data sets.* cannot be compared/);
  expect(page.blocks.filter(({ kind }) => kind === "heading").map(({ title }) => title)).toEqual([
    "Results: shapes",
    "Curves: shapes",
    "Runs: shapes",
    "Results: cifar100",
    "Curves: cifar100",
    "Runs: cifar100",
  ]);
  const charts = page.blocks.filter(isChart).filter(({ title }) => title.startsWith("Validation accuracy"));
  expect(charts.map(({ title, series }) => [title, new Set(series.map(({ clock }) => clock)).size])).toEqual([
    ["Validation accuracy: shapes", 2],
    ["Validation accuracy: cifar100", 1],
  ]);
  expect(new Set(charts[1]!.series.map(({ clock }) => clock))).toEqual(new Set([1]));
  expect(comparePage([one, two]).summary).toBe("one, two");
});
