/**
 * The official packages read back what visual-log writes: every value of every kind. FITLOOP_LOG_PYTHON names a Python
 * that has them; without it, one is made in the user's cache with the versions of requirements.txt.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Entry, histogramOf, prCurveOf } from "../../../plugins/visual-log/entries.js";
import { openLog } from "../../../plugins/visual-log/file.js";
import {
  tensorBoardHead,
  tensorBoardName,
  tensorBoardRecords,
  wholeTensorBoard,
} from "../../../plugins/visual-log/tensorboard.js";
import { visualDlHead, visualDlName, visualDlRecord, wholeVisualDl } from "../../../plugins/visual-log/visualdl.js";
import { readersPython } from "../../support/readers-python.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-readers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const readersOfLogs = (): string =>
  readersPython("log-readers", join(import.meta.dirname, "requirements.txt"), process.env.FITLOOP_LOG_PYTHON);

const values = [0, -0, 1, 0.1, -2.5e-8, 3e38, NaN, Infinity, -Infinity];
const numbers = Float32Array.from({ length: 500 }, (_, at) => Math.sin(at) * 10 ** ((at % 7) - 3));
const probabilities = Float32Array.from({ length: 200 }, (_, at) => (at % 97) / 96);
const hyperparameters = {
  seed: 1,
  learningRate: 0.1,
  batchSize: 128,
  nesterov: true,
  quiet: false,
  model: "resnet18 ü",
};
/** Runs of one folder that do not have the same settings. */
const several = {
  first: { values: { seed: 1, ema: true, "ema.decay": 0.99, model: "resnet9" }, ended: "success" },
  second: { values: { seed: 2, cutmix: true, model: "resnet9" }, ended: "failure" },
  third: { values: { seed: 2, learningRate: "of another kind", model: "resnet9" }, ended: undefined },
} as const;
let png: Buffer;
let entries: Entry[];
let found: { visualdl: Record<string, any[]>; tensorboard: Record<string, any>; board: Record<string, any> };

beforeAll(async () => {
  png = await sharp({ create: { width: 5, height: 3, channels: 3, background: "#a02050" } })
    .png()
    .toBuffer();
  entries = [
    ...values.map((value, step): Entry => ({ kind: "scalar", tag: "train/loss", step, value, name: "training loss" })),
    { kind: "scalar", tag: "validation/top1", step: 2 ** 31, value: 0.5 },
    { kind: "image", tag: "grad-cam/7", step: 0, png, width: 5, height: 3 },
    { kind: "image", tag: "grad-cam/7", step: 12, png, width: 5, height: 3 },
    { kind: "histogram", tag: "weights/conv1.weight", step: 4, histogram: histogramOf(numbers) },
    { kind: "histogram", tag: "weights/one", step: 4, histogram: histogramOf([2]) },
    { kind: "text", tag: "run/config", step: 0, text: '    {"name": "größe ✓"}\n' },
    { kind: "pr-curve", tag: "pr/cat", step: 8, curve: prCurveOf(probabilities, (at) => at % 3 === 0) },
    {
      kind: "embeddings",
      tag: "features/validation",
      step: 8,
      labels: ["cat", "dog ü"],
      vectors: [Float32Array.of(1, -0.5, 0), Float32Array.of(0.25, 3, 7)],
    },
    { kind: "session", tag: "", step: 0, values: hyperparameters },
    {
      kind: "hyperparameters",
      tag: "",
      step: 0,
      run: "cifar100-small",
      values: hyperparameters,
      metrics: ["validation/top1"],
      ended: "success",
    },
  ];
  const logs = [
    openLog(join(folder, "visualdl"), {
      name: visualDlName(1.7e9),
      head: visualDlHead(1.7e12),
      pattern: /^v/,
      whole: wholeVisualDl,
    }),
    openLog(join(folder, "tensorboard"), {
      name: tensorBoardName(1.7e9, "h", 1),
      head: tensorBoardHead(1.7e9),
      pattern: /^e/,
      whole: wholeTensorBoard,
    }),
  ];
  for (const entry of entries) {
    logs[0]!.append(visualDlRecord(entry, 1.7e12));
    logs[1]!.append(tensorBoardRecords(entry, 1.7e9));
  }
  for (const log of logs) log.close();
  for (const [name, { values, ended }] of Object.entries(several)) {
    const head = tensorBoardHead(1.7e9);
    const log = openLog(join(folder, "several", name, "tensorboard"), {
      name: tensorBoardName(1.7e9, "h", 1),
      head,
      pattern: /^e/,
      whole: wholeTensorBoard,
    });
    log.append(tensorBoardRecords({ kind: "session", tag: "", step: 0, values }, 1.7e9));
    log.append(tensorBoardRecords({ kind: "scalar", tag: "validation/top1", step: 3, value: 0.5 }, 1.7e9));
    log.append(
      tensorBoardRecords({ kind: "hyperparameters", tag: "", step: 0, run: name, values, metrics: [], ended }, 1.8e9),
    );
    log.close();
  }
  const script = join(import.meta.dirname, "read_logs.py");
  const output = execFileSync(readersOfLogs(), [script, folder], { encoding: "utf8", maxBuffer: 1e9 });
  found = JSON.parse(output.trim().split("\n").at(-1)!);
}, 900_000);

const of = <K extends Entry["kind"]>(kind: K): Extract<Entry, { kind: K }>[] =>
  entries.filter((entry): entry is Extract<Entry, { kind: K }> => entry.kind === kind);
/** As the Python side writes numbers that JSON has not. */
const told = (value: number): number | string =>
  Number.isFinite(value) ? value : String(value).replace("Infinity", "inf").replace("NaN", "nan");

describe.each(["visualdl", "tensorboard"] as const)("%s", (name) => {
  it("reads every scalar", () => {
    const expected = of("scalar").map(({ tag, step, value }) => ({ tag, step, value: told(Math.fround(value)) }));
    expect(found[name].scalar.map(({ tag, step, value }: any) => ({ tag, step, value }))).toEqual(expected);
  });

  it("reads every image, byte for byte", () => {
    const images = found[name].image.map(({ tag, step, png: text }: any) => ({ tag, step, text }));
    expect(images).toEqual(of("image").map(({ tag, step }) => ({ tag, step, text: png.toString("base64") })));
  });

  it("reads every histogram", () => {
    const expected = of("histogram").map(({ tag, step, histogram: { counts, edges } }) => ({
      tag,
      step,
      counts,
      edges,
    }));
    expect(found[name].histogram.map(({ tag, step, counts, edges }: any) => ({ tag, step, counts, edges }))).toEqual(
      expected,
    );
  });

  it("reads every text", () => {
    expect(found[name].text).toEqual(of("text").map(({ tag, step, text }) => ({ tag, step, text })));
  });
});

it("VisualDL reads curves, features and hyperparameters", () => {
  const [{ curve }] = of("pr-curve") as [Extract<Entry, { kind: "pr-curve" }>];
  expect(found.visualdl.pr_curve).toEqual([
    {
      tag: "pr/cat",
      step: 8,
      TP: curve.truePositives,
      FP: curve.falsePositives,
      TN: curve.trueNegatives,
      FN: curve.falseNegatives,
      precision: curve.precision,
      recall: curve.recall,
    },
  ]);
  const [features] = found.visualdl.embeddings!;
  expect(features).toMatchObject({
    labels: [["cat"], ["dog ü"]],
    vectors: [
      [1, -0.5, 0],
      [0.25, 3, 7],
    ],
  });
  const expected = { ...hyperparameters, nesterov: 1, quiet: 0 }; // it has no booleans
  expect(found.visualdl.hyper_parameters).toEqual([
    { tag: "hparam", step: 1, values: expected, metrics: ["validation/top1"], run: "cifar100-small" },
  ]);
});

it("TensorBoard reads names, sizes, curves and hyperparameters", () => {
  const { scalar, image, histogram, pr_curve, hparams } = found.tensorboard;
  expect(scalar[0].name).toBe("training loss");
  expect(image[0]).toMatchObject({ width: 5, height: 3 });
  const [{ histogram: first }] = of("histogram") as [Extract<Entry, { kind: "histogram" }>];
  expect(histogram[0]).toMatchObject({ sum: first.sum, sumOfSquares: first.sumOfSquares });
  const [{ curve }] = of("pr-curve") as [Extract<Entry, { kind: "pr-curve" }>];
  const rows = [
    curve.truePositives,
    curve.falsePositives,
    curve.trueNegatives,
    curve.falseNegatives,
    curve.precision,
    curve.recall,
  ];
  expect(pr_curve).toEqual([
    { tag: "pr/cat", step: 8, rows: rows.map((row) => row.map(Math.fround)), thresholds: 101 },
  ]);
  expect(hparams).toEqual({
    values: hyperparameters,
    run: "", // a session of its own, named by its folder
    start: 1.7e9,
    status: 1,
    end: 1.7e9,
  });
});

it("TensorBoard's HParams shows the settings of all runs of a folder, which of them differ, and how each ended", () => {
  const { names, differ, metrics, sessions } = found.board;
  const all = Object.values(several).flatMap(({ values }) => Object.keys(values));
  expect([...names].sort()).toEqual([...new Set(all)].sort());
  expect(differ).toContain("seed");
  expect(differ).not.toContain("model");
  expect(metrics).toEqual(["validation/top1"]);
  const statuses = { success: 1, failure: 2, unknown: 0 };
  expect(sessions).toEqual(
    Object.entries(several).map(([name, { values, ended }]) => ({
      name: `${name}/tensorboard`,
      status: statuses[ended ?? "unknown"],
      start: 1.7e9,
      end: ended ? 1.8e9 : 0,
      values,
      metrics: { "validation/top1": 0.5 },
    })),
  );
});
