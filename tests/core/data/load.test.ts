/** What a data set states is checked before a run believes it. */
import { describe, expect, it, vi } from "vitest";
import type { Data, DataSource, Split } from "../../../core/data/dataset.js";
import { splitNotes } from "../../../core/data/holdout.js";
import { checkData, loadData } from "../../../core/data/load.js";
import { shapes } from "../../../core/data/shapes.js";
import { makePart, Trainer } from "../../../core/index.js";
import { microConfig } from "../../../core/testing/index.js";

const good = await makePart(shapes({ classes: 3, size: 8, train: 9, test: 3 })).load({});
const withSplit = (change: Partial<Split>): Partial<Data> => ({ train: { ...good.train, ...change } });
const source = (change: Partial<Data>): DataSource => ({
  name: "mine",
  options: {},
  load: async () => ({ ...good, ...change }),
});
const oneImage = (height: number, width: number, bytes: number): Partial<Data> =>
  withSplit({ read: () => [{ pixels: new Uint8Array(bytes), height, width }] });

describe("loading", () => {
  it("gives data that holds what it promises as it came", async () => {
    expect(await loadData(source({}))).toEqual(good);
  });

  it.each<[string, Partial<Data>, string]>([
    ["one class", { classes: ["a"] }, 'Data "mine", classes: expected the names of two classes or more, got ["a"].'],
    ["a class without a name", { classes: ["a", "", "c"] }, 'classes[1]: expected a name, got "".'],
    ["a class twice", { classes: ["a", "b", "a"] }, 'classes: expected different names, got "a" twice.'],
    ["no height", { height: 0 }, "height: expected a whole number of pixels from 1, got 0."],
    ["a mean that is no number", { mean: [0, Number.NaN, 0] }, "mean: expected three finite numbers, for R, G and B"],
    [
      "a mean of one channel",
      { mean: [0.5] as never },
      "mean: expected three finite numbers, for R, G and B, got [0.5]",
    ],
    ["a deviation of 0", { deviation: [1, 0, 1] }, "deviation: expected three finite numbers above 0"],
    ["no fingerprint", { fingerprint: "" }, "fingerprint: expected text that changes with the content"],
    [
      "labels from 1",
      withSplit({ labels: Int32Array.of(1, 2, 3, 1, 2, 3, 1, 2, 3) }),
      "got 3 for shapes/train#2. The labels count from 1: subtract 1 from each.",
    ],
    [
      "a label below 0",
      withSplit({ labels: Int32Array.of(0, -1, 2, 0, 1, 2, 0, 1, 2) }),
      "train.labels[1]: expected a whole number from 0 to 2, a place in classes, got -1 for shapes/train#1.",
    ],
    [
      "half a label",
      withSplit({ labels: [0, 0.5, 1, 2, 0, 1, 2, 0, 1] as never }),
      "train.labels[1]: expected a whole number",
    ],
    [
      "too few labels",
      withSplit({ labels: Int32Array.of(0, 1) }),
      "train.labels: expected 9 labels, one for each image, got 2 of them.",
    ],
    [
      "no training image",
      withSplit({ length: 0, labels: new Int32Array(0) }),
      "train.length: expected an image or more, got 0.",
    ],
    [
      "images of another size",
      oneImage(8, 9, 216),
      "train.read([0]): expected one image of 8 × 8 in 192 unsigned bytes, got 8 × 9 in 216 bytes for shapes/train#0.",
    ],
    ["images with four channels", oneImage(8, 8, 256), "got 8 × 8 in 256 bytes"],
    [
      "no bytes",
      withSplit({ read: () => [{ pixels: [1], height: 8, width: 8 } as never] }),
      "got pixels that are [1].",
    ],
    ["nothing read", withSplit({ read: () => [] }), "got []."],
    [
      "labels of the test split",
      { test: { ...good.test!, labels: Int32Array.of(0, 1, 3) } },
      "test.labels[2]: expected",
    ],
  ])("refuses %s", async (_, change, message) => {
    const error = await loadData(source(change)).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "ERR_DATA", exitCode: 65 });
    expect((error as Error).message).toContain(message);
  });

  it("leaves an empty test split out with a warning", async () => {
    const warn = vi.fn();
    const empty = { ...good.test!, length: 0, labels: new Int32Array(0) };
    expect((await loadData(source({ test: empty }), { warn })).test).toBeUndefined();
    expect(warn.mock.calls).toEqual([[expect.stringContaining("the test split has no image")]]);
  });

  it("happens before training: labels from 1 end a run", async () => {
    const labels = good.train.labels.map((label) => label + 1);
    const trainer = new Trainer(microConfig({ data: source(withSplit({ labels })) }));
    await expect(trainer.fit()).rejects.toThrow("The labels count from 1");
  });

  it("checks statements without reading an image", () => {
    const read = vi.fn();
    checkData({ ...good, ...withSplit({ read }) }, "mine");
    expect(read).not.toHaveBeenCalled();
  });
});

describe("a split that leaves a class without images", () => {
  const classes = ["a", "b", "c"];
  const places = (train: number[], validation: number[]) => ({
    train: Int32Array.from(train),
    validation: Int32Array.from(validation),
  });

  it("is told of training and of validation images", () => {
    expect(splitNotes([0, 0, 1, 1, 2, 2], places([0, 2, 4], [1, 3, 5]), classes, 0.5)).toEqual([]);
    expect(splitNotes([0, 0, 1, 1, 1], places([0, 2, 3], [1, 4]), classes, 0.4)).toEqual([
      "No training image for 1 of 3 classes: c.",
    ]);
    expect(splitNotes([0, 0, 1, 2], places([0, 2, 3], [1]), classes, 0.25)).toEqual([
      "No validation image for 2 of 3 classes: b, c. Their validation figures are missing.",
    ]);
    expect(splitNotes([0, 1, 2], places([0, 1, 2], []), classes, 0.1)).toEqual([
      "No validation image: holdout 0.1 of 3 images gives none. Raise holdout, or set it to 0.",
    ]);
    expect(splitNotes([0, 1, 2], places([0, 1, 2], []), classes, 0)).toEqual([]);
  });

  it("is a warning of the run", async () => {
    const trainer = new Trainer(microConfig({ holdout: 0.06 }));
    const warnings: string[] = [];
    trainer.events.on("warning", ({ message }) => warnings.push(message));
    await trainer.prepare();
    expect(warnings).toContainEqual(expect.stringContaining("No validation image for 3 of 4 classes"));
  });
});
