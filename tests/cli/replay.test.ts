/** `trainer replay`: a recorded step again, with the same numbers, and what went on in it. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { readMetrics } from "../../run/metrics.js";
import { trainer, workplace } from "../support/run-cli.js";

workplace();
const config = join(import.meta.dirname, "../support/micro.config.ts");

beforeAll(async () => {
  const { code } = await trainer("--config", config, "--out", "run", "--checkpoint-every", "3", "--json");
  expect(code).toBe(0);
});

it.each([1, 4, 8])("repeats step %i to the last bit, from the nearest checkpoint before it", async (step) => {
  const { code, stdout, stderr } = await trainer("replay", "run", "--step", `${step}`, "--json");
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { figures, recorded } = JSON.parse(stdout);
  for (const key of ["loss", "learningRate", "gradientNorm"]) expect(figures[key]).toBe(recorded[key]);
  expect(recorded.step).toBe(step);
});

it("shows what each tap changed, and each gradient's norm", async () => {
  const { stdout, stderr } = await trainer("replay", "run", "--step", "8");
  expect(stderr).toMatch(/from .*step-0000000\d.*: \d steps/);
  expect(stdout).toMatch(/loss +[\d.]+ +[\d.]+ +the same/);
  expect(stdout).toMatch(/beforeBatch +label-smoothing +7 +100.0 % of the targets changed, by [\d.]+ on average/);
  expect(stdout).toMatch(/^ {2}fc\.weight +[\d.e-]+$/m);
});

it("writes nothing and evaluates nothing", async () => {
  const { stdout } = await trainer("replay", "run", "--step", "2", "--json");
  expect(stdout).not.toContain("evaluate");
});

it("of a step that the run does not come to is one message", async () => {
  const { code, stderr } = await trainer("replay", "run", "--step", "1000");
  expect(code).toBe(2);
  expect(stderr).toMatch(/has no step 1000/);
});

it("of a run that followed measured time is refused", async () => {
  const run = ["--config", config, "--max-time", "1s", "--out", "timed", "--quiet"];
  expect(await trainer(...run)).toMatchObject({ code: 0 });
  const { code, stderr } = await trainer("replay", "timed", "--step", "1");
  expect(code).toBe(2);
  expect(stderr).toMatch(/followed measured time \(maxTime\), so its steps cannot be repeated/);
});

it("of a run that was given more epochs uses the length that each step was made with", async () => {
  writeFileSync(
    "line.config.mts",
    `import { linear } from "fitloop/plugins";
    import { microConfig } from "fitloop/testing";
    export default microConfig({ epochs: 2, batchSize: 4, plugins: [linear()] });`,
  );
  expect(await trainer("--config", "line.config.mts", "--out", "line", "--quiet")).toMatchObject({ code: 0 });
  const more = await trainer("--resume", "line", "--epochs", "20", "--checkpoint-every", "1", "--quiet");
  expect(more.code).toBe(0);
  const { lines } = readMetrics("line/metrics.jsonl");
  const last = lines.find(({ event, epoch }) => event === "epoch:end" && epoch === 1)!.step as number;
  expect(more.stderr).toMatch(
    new RegExp(
      `warning: The run is changed from 2 to 20 epochs after step ${last}: .* The learning rate: [\\d.]+ -> [\\d.]+\\.`,
    ),
  );
  const record = JSON.parse(readFileSync("line/config.resolved.json", "utf8"));
  expect(record.extended).toEqual([{ atStep: last, field: "epochs", from: 2, to: 20 }]);
  for (const step of [1, last, lines.filter(({ event }) => event === "step").length]) {
    const { code, stdout, stderr } = await trainer("replay", "line", "--step", `${step}`, "--json");
    expect(code, stderr).toBe(0);
    const { figures, recorded } = JSON.parse(stdout);
    for (const key of ["loss", "learningRate", "gradientNorm"]) expect(figures[key]).toBe(recorded[key]);
  }
  for (const name of readdirSync("line/checkpoints")) rmSync(join("line/checkpoints", name), { recursive: true });
  expect(await trainer("replay", "line", "--step", `${last + 1}`)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(
      `Step ${last + 1} cannot be repeated: the length of the run was changed after step ${last}`,
    ),
  });
});

it("of what is no run is bad data", async () => {
  expect(await trainer("replay", "nowhere", "--step", "1")).toMatchObject({ code: 65 });
});

it("of a step of several micro-batches shows all of them, from a checkpoint between steps, with the rate's own", async () => {
  writeFileSync(
    "windows.config.mts",
    `import { shapes } from "fitloop/data";
    import { microConfig } from "fitloop/testing";
    import { resnet9 } from "fitloop/models";
    import { gradientAccumulation, oneCycle } from "fitloop/plugins";
    export default microConfig({
      data: shapes({ classes: 4, size: 8, train: 64, test: 6 }), model: resnet9({ width: 4 }), batchSize: 4, holdout: 0, epochs: 1,
      plugins: [gradientAccumulation({ factor: 4 }), oneCycle()],
    });`,
  );
  const made = await trainer("--config", "windows.config.mts", "--out", "windows", "--checkpoint-every", "1", "--json");
  expect(made).toMatchObject({ code: 0 });
  const { changes, figures, recorded } = JSON.parse(
    (await trainer("replay", "windows", "--step", "3", "--json")).stdout,
  );
  expect(figures.loss).toBe(recorded.loss);
  const of = (hook: string): number[] =>
    changes
      .filter((each: { hook: string }) => each.hook === hook)
      .map(({ microBatch }: { microBatch: number }) => microBatch);
  expect(of("afterBackward")).toEqual([8, 9, 10, 11]);
  expect(of("resolveLearningRate")).toEqual([11]);
});

it("of a step that diverged names its images", async () => {
  writeFileSync(
    "cliff.config.mts",
    `import { definePlugin, tf, z } from "fitloop";
    import { shapes } from "fitloop/data";
    import { resnet9 } from "fitloop/models";
    import { microConfig } from "fitloop/testing";
    const cliff = definePlugin({
      name: "cliff", summary: "", options: z.strictObject({}),
      apply: (_, { hooks }) => void hooks.afterLoss.tap((loss, { step }) => (step === 3 ? tf.mul(loss, NaN) : loss)),
    });
    export default microConfig({ model: resnet9({ width: 4 }), plugins: [cliff()] });`,
  );
  expect(await trainer("--config", "cliff.config.mts", "--out", "cliff", "--quiet")).toMatchObject({ code: 76 });
  const { step, samples, images } = readMetrics("cliff/metrics.jsonl").lines.find(({ event }) => event === "diverged")!;
  const { code, stdout } = await trainer("replay", "cliff", "--step", `${(step as number) + 1}`);
  expect(code).toBe(0);
  const [[sample], [image]] = [samples as number[], images as string[]];
  expect(stdout).toContain(
    `images of the micro-batch, with their indices in the training data: ${image} (${sample}), `,
  );
});
