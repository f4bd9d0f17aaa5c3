/** A run in bfloat16, from the command line to its images. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";

const config = fileURLToPath(new URL("../support/micro.config.ts", import.meta.url));
const { inside } = workplace();
const run = join(inside, "half");
const half = ["--config", config, "--precision", "bfloat16", "--backend", "tensorflow", "--out", run];
const summary = () => JSON.parse(readFileSync(join(run, "summary.json"), "utf8"));

it("trains, goes on, and is evaluated and looked into as any other", async () => {
  expect((await trainer(...half, "--epochs", "2", "--quiet")).code).toBe(0);
  expect(summary()).toMatchObject({ precision: "bfloat16", epochs: 2 });
  const resume = ["--config", config, "--backend", "tensorflow", "--resume", run, "--epochs", "3"];
  expect(await trainer(...resume)).toMatchObject({ code: 2, stderr: expect.stringContaining("precision") });
  expect((await trainer(...resume, "--precision", "bfloat16", "--quiet")).code).toBe(0);
  const { test } = summary();

  const evaluated = await trainer("evaluate", run, "--json");
  expect(evaluated.code).toBe(0);
  expect(JSON.parse(evaluated.stdout)).toMatchObject({ loss: test.loss, top1: test.top1 });
  const drawn = await trainer("gradcam", run, "--images", "2");
  expect(drawn.code).toBe(0);
  expect(readdirSync(join(run, "gradcam")).length).toBeGreaterThan(0);
});

it("does not agree with float32 to the bit, and stays close", async () => {
  const whole = join(inside, "whole");
  await trainer("--config", config, "--backend", "tensorflow", "--out", whole, "--epochs", "3", "--quiet");
  const lines = (folder: string): { loss: number }[] =>
    readFileSync(join(folder, "metrics.jsonl"), "utf8")
      .split("\n")
      .filter((line) => line.includes('"event":"step"'))
      .map((line) => JSON.parse(line));
  const [mine, plain] = [lines(run), lines(whole)];
  expect(mine).toHaveLength(plain.length);
  expect(mine[0]!.loss).not.toBe(plain[0]!.loss);
  expect(Math.abs(mine[0]!.loss - plain[0]!.loss) / plain[0]!.loss).toBeLessThan(0.02);
});
