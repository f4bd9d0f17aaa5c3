import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { probeOutOfFold } from "../../../core/labels/linear-probe.js";

const golden = JSON.parse(readFileSync(new URL("../../golden/labels/probe.json", import.meta.url), "utf8")) as {
  size: number;
  classes: number;
  features: number[];
  labels: number[];
  folds: number[];
  penalty: number;
  loss: number;
  probabilities: number[];
};

beforeAll(() => loadBackend());

it("a probe has scikit-learn's probabilities out of fold, chooses the same penalty, and keeps no tensor", () => {
  const before = tf.memory().numTensors;
  const { labels, classes, size } = golden;
  const folds = Int32Array.from(golden.folds);
  const found = probeOutOfFold({ values: Float32Array.from(golden.features), size }, labels, { folds, classes });
  expect(found.penalty).toBe(golden.penalty);
  expect(found.loss).toBeCloseTo(golden.loss, 4);
  golden.probabilities.forEach((value, at) => expect(found.probabilities[at]).toBeCloseTo(value, 3));
  expect(tf.memory().numTensors).toBe(before);
});

it("a feature that is the same everywhere changes nothing", () => {
  const labels = [0, 1, 0, 1, 0, 1, 0, 1];
  const folds = Int32Array.of(0, 0, 0, 0, 1, 1, 1, 1);
  const values = Float32Array.from(labels.flatMap((label) => [label, 7]));
  const { probabilities } = probeOutOfFold({ values, size: 2 }, labels, { folds, classes: 2 });
  labels.forEach((label, row) => expect(probabilities[2 * row + label]).toBeGreaterThan(0.7));
});
