/** `trainer backend check`: right operations pass, wrong ones do not, and every operation of a network is in the list. */
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { type BackendCheck, checkBackend, checkOperation, formatCheck } from "../../../core/check/check.js";
import { type OperationCheck, operationChecks } from "../../../core/check/formulas.js";

afterEach(() => vi.restoreAllMocks());

describe.each(["tensorflow", "wasm"] as const)("on %s", (name) => {
  beforeAll(async () => void (await loadBackend({ name })));

  it.each(operationChecks.map((check, key) => [check.name, check, key] as const))("%s", (_, check, key) => {
    const before = tf.memory().numTensors;
    for (const result of checkOperation(check, key)) expect(result).toMatchObject({ ok: true });
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("an operation that is wrong", () => {
  const square: OperationCheck = {
    name: "square",
    inputs: { x: [2, 3] },
    compute: ({ x }) => tf.square(x!),
    formula: ({ x }) => x!.map((value) => value * value),
  };
  const wrong = (compute: OperationCheck["compute"]) => checkOperation({ ...square, compute }, 0);
  beforeAll(async () => void (await loadBackend({ name: "wasm" })));

  it("is found by its result, by its gradient alone, by its shape and by what it throws", () => {
    expect(checkOperation(square, 0).map(({ ok }) => ok)).toEqual([true, true]);
    expect(wrong(({ x }) => tf.mul(tf.square(x!), 1.0001)).map(({ ok }) => ok)).toEqual([false, false]);
    const halfGradient = tf.customGrad((...args) => {
      const x = args[0] as tf.Tensor;
      return { value: tf.square(x), gradFunc: (dy: tf.Tensor) => tf.mul(dy, x) };
    });
    expect(wrong(({ x }) => halfGradient(x!)).map(({ ok }) => ok)).toEqual([true, false]);
    expect(wrong(({ x }) => tf.sum(x!))[0]).toMatchObject({ ok: false, failure: "expected 6 numbers, got 1" });
    const failing = (): tf.Tensor => {
      throw new Error("no kernel for that");
    };
    expect(wrong(failing)[0]).toEqual({
      operation: "square",
      tolerance: 1e-5,
      ok: false,
      failure: "no kernel for that",
    });
    expect(wrong(({ x }) => tf.mul(x!, Number.NaN))[0]!.ok).toBe(false);
  });

  it("may round products to TF32 on a GPU, and nothing else", () => {
    const rough = { ...square, compute: ({ x }: Readonly<Record<string, tf.Tensor>>) => tf.mul(tf.square(x!), 1.001) };
    expect(checkOperation({ ...rough, products: true }, 0, true).map(({ ok }) => ok)).toEqual([true, true]);
    expect(checkOperation({ ...rough, products: true }, 0, false).map(({ ok }) => ok)).toEqual([false, false]);
    expect(checkOperation(rough, 0, true).map(({ ok }) => ok)).toEqual([false, false]);
  });
});

it("the whole check trains on both backends, and its table says so", async () => {
  const check: BackendCheck = await checkBackend({ name: "tensorflow", steps: 8 });
  expect(check.ok).toBe(true);
  expect(check.trainings.map(({ backend, losses }) => [backend, losses.length])).toEqual([
    ["tensorflow", 8],
    ["wasm", 8],
  ]);
  expect(check.trainings.every(({ imagesPerSecond }) => imagesPerSecond > 0)).toBe(true);
  expect(check.difference!.value).toBeGreaterThan(0);
  expect(tf.getBackend()).toBe("tensorflow");
  const text = formatCheck(check);
  expect(text).toMatch(/^tensorflow 2\.21\.0 on /);
  expect(text).toContain("  gradient of w");
  expect(text).toMatch(/All as the formulas say\.$/);
  const [first, ...rest] = check.operations;
  const broken = { ...check, ok: false, operations: [{ ...first!, ok: false, error: 0.5 }, ...rest] };
  expect(formatCheck(broken)).toMatch(/convolution 3 x 3 .*5\.0e-1 .*WRONG/);
  expect(formatCheck(broken)).toMatch(/please send this table in\.$/);
}, 120_000);
