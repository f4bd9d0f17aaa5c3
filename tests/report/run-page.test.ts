/** What a page says about a run, from parts that are all there, and from few. */
import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { duration } from "../../core/format.js";
import type { Block, Page } from "../../report/blocks.js";
import { createRunHistory } from "../../report/run-history.js";
import { type RunParts, runPage } from "../../report/run-page.js";
import { withoutHome } from "../../report/text.js";

const partsOf = (more: Partial<RunParts> = {}): RunParts => ({
  folder: "/runs/net-7",
  history: createRunHistory(),
  kept: { splits: {} },
  status: "broke off",
  image: () => undefined,
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
const historyOf = (...lines: Parameters<RunParts["history"]["add"]>[0][]): RunParts["history"] => {
  const history = createRunHistory();
  for (const line of lines) history.add(line);
  return history;
};
const block = <K extends Block["kind"]>(page: Page, title: string, kind: K): Extract<Block, { kind: K }> =>
  page.blocks.find((each) => each.title === title && each.kind === kind) as Extract<Block, { kind: K }>;

describe("the page", () => {
  it("of a run that has only begun is its facts", () => {
    const page = runPage(partsOf({ status: "running" }));
    expect(page.blocks.map(({ title }) => title)).toEqual(["Overview", "The run"]);
    expect(page.title).toBe("net-7");
    expect(page.summary).toMatch(/^Under way: 0 of \? epochs done\. Written/);
    expect(page.live).toEqual({ reload: expect.any(Number), written: expect.any(Number), done: 0 });
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
    expect(page.summary).toMatch(/^p on p\. Under way: 0 of 1 epoch done\./);
    expect(block(page, "The run", "facts").rows).toEqual(
      expect.arrayContaining([
        ["backend", "wasm 4 on 1 thread"],
        ["processor", "A Processor"],
        ["fitloop", "0.1.0"],
      ]),
    );
  });

  it("draws single steps as noise, evaluations as a line of their own, and leaves out what is not finite", () => {
    const history = historyOf(
      step(1, 4),
      step(2, 3),
      epoch(0, 2, { loss: 3.5, top1: 0.25 }),
      step(3, 2),
      epoch(1, 3, { loss: "NaN", top1: 0.5 }),
    );
    const page = runPage(partsOf({ history }));
    const chart = block(page, "Loss", "chart");
    expect(chart).toMatchObject({ xLabel: "step", yLabel: "loss", epochs: [2, 3], best: "least" });
    expect(chart.series).toEqual([
      { name: "training", x: [1, 2, 3], y: [4, 3, 2], look: "noisy", clock: 0 },
      { name: "validation", x: [2], y: [3.5], clock: 0 },
    ]);
    expect(page.clocks).toEqual([{ epoch: { steps: [0, 2, 3], values: [0, 1, 2] } }]); // steps say no time here
    const epochs = block(page, "Epochs", "table");
    expect(epochs.rows.map((row) => [row[0], row[3]])).toEqual([
      [2, "NaN"],
      [1, 3.5],
    ]); // the newest first
  });

  it("shows least and greatest once a point stands for several steps", () => {
    const history = createRunHistory();
    for (let at = 1; at <= 4000; at++) history.add(step(at, at === 2001 ? 50 : 1));
    const [line] = block(runPage(partsOf({ history })), "Loss", "chart").series;
    expect(Math.max(...line!.high!.map(Number))).toBe(50);
    expect(Math.max(...line!.low!.map(Number))).toBe(1);
  });

  it("has the headline figures as tiles, accuracies with the interval of so many images", () => {
    const metrics = { count: 200, loss: 0.5, top1: 0.9, top5: 1, source: "current" };
    const summary = {
      stopReason: "epochs",
      epochs: 2,
      steps: 4,
      seconds: 200,
      imagesPerSecond: 12.3,
      parameters: 1234,
      validation: metrics,
      test: { ...metrics, count: 50 },
      costs: {},
    } as unknown as NonNullable<RunParts["summary"]>;
    const history = historyOf(
      epoch(0, 2, { loss: 1, top1: 0.95, count: 200 }),
      epoch(1, 4, { loss: 1, top1: 0.9, count: 200 }),
    );
    const { items } = block(runPage(partsOf({ summary, history, status: "ended" })), "Headline figures", "tiles");
    const of = (label: string) => items.find((each) => each.label === label)!;
    expect(of("Test accuracy")).toMatchObject({ value: { value: 0.9, low: expect.any(Number) }, note: "of 50 images" });
    const [test, validation] = [of("Test accuracy"), of("Validation accuracy")].map(
      ({ value }) => value as { low: number; high: number },
    );
    expect(test!.high - test!.low).toBeGreaterThan(validation!.high - validation!.low);
    expect(of("Best epoch")).toMatchObject({ value: 1, note: "validation loss 1" });
    expect(of("Training time").value).toBe("3 min 20 s");
    expect(items.map(({ label }) => label)).toEqual([
      "Test accuracy",
      "Validation accuracy",
      "Best epoch",
      "Validation loss",
      "Training time",
      "Images per second",
      "Parameters",
    ]);
  });

  it("says in a sentence what the run is and how it ended, and on top why it failed", () => {
    const summaryOf = (more: object) =>
      ({ steps: 7, epochs: 2, seconds: 1, imagesPerSecond: 2.345, parameters: 3_378_694, costs: {}, ...more }) as never;
    const part = (name: string, options: object = {}) => ({ name, options });
    const record = {
      name: "net",
      epochs: 9,
      model: part("resnet18"),
      data: part("imageFolder", { path: "/data/birds" }),
      plugins: [],
    } as never;
    const page = (stopReason: string, more: object = {}): Page =>
      runPage(partsOf({ status: "ended", record, summary: summaryOf({ stopReason, ...more }) }));
    expect(page("epochs", { epochs: 9 }).summary).toMatch(/^resnet18 on birds\. Finished: 9 epochs\. Written/);
    expect(page("no better for 3 epochs").summary).toMatch(
      /^resnet18 on birds\. Ended after 2 of 9 epochs, 7 steps: no better for 3 epochs\. Written/,
    );
    const failed = page("failed: The loss is NaN.\nLower the rate.");
    expect(failed.summary).toMatch(/^resnet18 on birds\. Failed after 7 steps\. Written/);
    expect(failed.blocks[1]).toEqual({
      kind: "text",
      title: "Why the run failed",
      text: "The loss is NaN.\nLower the rate.",
      open: true,
      tone: "bad",
    });
    expect(page("epochs").blocks.some(({ title }) => title === "Why the run failed")).toBe(false);
    const { items } = block(failed, "Headline figures", "tiles");
    const of = (label: string) => items.find((each) => each.label === label)!.value;
    expect([of("Parameters"), of("Images per second")]).toEqual(["3.38 M", 2.35]);
    const small = (parameters: number) =>
      block(page("epochs", { parameters }), "Headline figures", "tiles").items.find(
        ({ label }) => label === "Parameters",
      )!.value;
    expect([small(176_402), small(9_999), small(940)]).toEqual(["176 k", "9999", "940"]);
    const rows = Object.fromEntries(block(failed, "The run", "facts").rows);
    expect(rows).toMatchObject({ parameters: "3,378,694", data: "imageFolder, /data/birds" });
  });

  it("has a column and a chart for each metric of the config, and the best epoch by the monitor", () => {
    const metrics = (loss: number, f1: number | string) => ({ count: 200, loss, top1: 0.9, top5: 1, more: { f1 } });
    const history = historyOf(
      step(2, 1),
      epoch(0, 2, metrics(0.9, 0.4)),
      epoch(1, 4, metrics(0.8, 0.7)),
      epoch(2, 6, metrics(0.7, "NaN")),
    );
    const summary = {
      stopReason: "epochs",
      epochs: 3,
      steps: 6,
      seconds: 2,
      imagesPerSecond: 12.3,
      parameters: 1234,
      validation: { ...metrics(0.7, 0.65), source: "current", singleView: { loss: 0.75, top1: 0.8, top5: 1 } },
      costs: {},
    } as unknown as NonNullable<RunParts["summary"]>;
    const record = { name: "net", model: {}, data: {}, monitor: { metric: "f1", direction: "higher" } };
    const page = runPage(
      partsOf({ history, summary, record: record as unknown as RunParts["record"], status: "ended" }),
    );
    const best = block(page, "Headline figures", "tiles").items.find(({ label }) => label === "Best epoch");
    expect(best).toMatchObject({ value: 2, note: "validation f1 0.7" });
    const { columns, rows } = block(page, "Epochs", "table");
    const at = columns.findIndex(({ name }) => name === "validation f1");
    expect(columns[at]).toEqual({ name: "validation f1", format: "number", better: "higher" });
    expect(rows.map((row) => row[at])).toEqual(["NaN", 0.7, 0.4]);
    expect(block(page, "F1", "chart").series).toEqual([{ name: "validation", x: [2, 4], y: [0.4, 0.7], clock: 0 }]);
    const results = block(page, "Results", "table");
    expect(results.columns.map(({ name }) => name)).toEqual(["split", "top-1", "top-5", "loss", "f1", "weights"]);
    expect(results.rows.map((row) => row[4])).toEqual([0.65, null]);
  });

  it("of a run under way says how far it is, from the pace of its last quarter, and ends with the config's last step", () => {
    const history = createRunHistory();
    const timed = (at: number, seconds: number): object => ({
      ...step(at, 1),
      epoch: 0,
      stepsPerEpoch: 100,
      totalSteps: 1000,
      samples: 10,
      imagesPerSecond: 10 / seconds,
    });
    for (let at = 1; at <= 80; at++) history.add(timed(at, at <= 20 ? 9 : 2) as never);
    const parts = partsOf({ history, status: "running", checkpoint: 60 });
    expect(runPage(parts).live).toMatchObject({ done: 80, total: 1000, checkpoint: 60 });
    expect(runPage(parts).live!.secondsLeft).toBeCloseTo(920 * 2, 6);
    const record = { name: "net", epochs: 10, maxSteps: 90, data: {}, model: {}, plugins: [] } as never;
    expect(runPage({ ...parts, record }).live).toMatchObject({ total: 90 });
    expect(runPage({ ...parts, record }).live!.secondsLeft).toBeCloseTo(20, 6);
    expect(runPage({ ...parts, status: "ended" }).live).toBeUndefined();
  });

  it("leaves out images that are not there", () => {
    const augmented = { path: "report/augmented.png", caption: "of an epoch", columns: 3 };
    const kept = { splits: {}, augmented };
    const title = "Training images as the network saw them";
    expect(block(runPage(partsOf({ kept })), title, "strip")).toBeUndefined();
    const shown = block(runPage(partsOf({ kept, image: (path) => `data:${path}` })), title, "strip");
    expect(shown).toMatchObject({ src: "data:report/augmented.png", columns: 3 });
  });

  it("does not show its reader's home", () => {
    const home = homedir();
    const kept = { splits: {}, command: `trainer --data ${home}/photos`, plan: `data ${home}/photos` };
    const history = historyOf({ event: "warning", message: `${home}/photos/x.jpg is small` });
    const page = runPage(partsOf({ folder: `${home}/runs/net-7`, kept, history }));
    expect(JSON.stringify(page)).not.toContain(home);
    expect(block(page, "The run", "facts").rows).toContainEqual(["folder", "~/runs/net-7"]);
    expect(withoutHome("/a/b", "/")).toBe("/a/b");
  });
});

it.each([
  [0.4, "0 s"],
  [59.4, "59 s"],
  [59.6, "1 min 00 s"],
  [250, "4 min 10 s"],
  [3600, "1 h 00 min"],
  [11_100, "3 h 05 min"],
])("%s seconds are %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
