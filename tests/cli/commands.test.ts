/** Each command on a small run, from training it to asking it about an image. */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import sharp from "sharp";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { marksOf } from "../../cli/lr-find.js";
import { createProgram } from "../../cli/program.js";
import { loadBackend } from "../../core/backend/index.js";
import { readSafetensors, writeSafetensors } from "../../core/nn/safetensors.js";
import { plugins } from "../../plugins/index.js";
import { presets } from "../../presets/index.js";
import { toCheckedJson } from "../../run/checked-json.js";
import { gzip, miniCifar100, tarOfFiles } from "../support/mini-cifar.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
const config = fileURLToPath(new URL("../support/micro.config.ts", import.meta.url));
const run = join(base, "run");
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const lines = (text: string): Record<string, any>[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

let first: Ran;
beforeAll(async () => {
  first = await trainer("--config", config, "--out", run);
});

describe("fit", () => {
  it("tells people on standard error, and the results on standard output", () => {
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(`config ${config}\n`);
    expect(first.stderr).toMatch(
      /^micro: [\d,]+ parameters, \w+ on \d+ threads?, 32 training images, 8 for validation, 2 epochs of 4 steps$/m,
    );
    for (const epoch of [1, 2]) expect(first.stderr).toMatch(new RegExp(`^epoch ${epoch}/2  train .*val .*img/s`, "m"));
    expect(first.stderr, "no live line where there is no terminal").not.toContain("\r");
    const { test, validation } = json(join(run, "summary.json"));
    expect(first.stdout).toMatch(/^micro: ended after 2 epochs, 8 steps \(epochs\)$/m);
    expect(first.stdout).toMatch(new RegExp(`validation +${(validation.top1 * 100).toFixed(1)} % .*best of epoch`));
    expect(first.stdout).toMatch(new RegExp(`test +${(test.top1 * 100).toFixed(1)} % .* ${test.loss.toFixed(4)} `));
    expect(first.stdout).toMatch(/test, one view /);
    expect(first.stdout).toMatch(/ema +\d+\.\d\d +\d+\.\d %/);
    expect(first.stdout.slice(first.stdout.indexOf("run folder"))).toBe(
      `run folder ${run}\nreport ${join(run, "report.html")}\n` +
        `to classify images: trainer predict ${run} photo.jpg\n` +
        `to use it elsewhere: trainer export ${run} --to onnx,litert\n`,
    );
  });

  it("numbers runs in the working directory", async () => {
    const args = ["--config", config, "--max-steps", "1", "--quiet"];
    const quiet = await trainer(...args);
    expect(quiet.stderr, "quiet").toBe("");
    expect(quiet.stdout).not.toMatch(/\nreport |trainer predict/);
    const { stdout } = await trainer("fit", ...args.slice(0, -1));
    expect(stdout, "as one would type it from here").toContain("\nreport runs/micro-2/report.html\n");
    expect(readdirSync(join(inside, "runs"))).toEqual(["micro-1", "micro-2"]);
  });

  it("says every event in a line of JSON", async () => {
    const { code, stdout, stderr } = await trainer("--config", config, "--out", join(base, "json"), "--json");
    expect(code).toBe(0);
    const events = lines(stdout); // and nothing else, a report's path neither
    expect(events.some(({ event, tag }) => event === "image" && tag === "augmented")).toBe(true);
    expect(events.map(({ event }) => event).filter((event) => event !== "image")).toEqual(
      [
        "fit:start",
        [1, 2].map(() => [
          "epoch:start",
          "step",
          "step",
          "step",
          "step",
          "evaluate:end",
          "epoch:end",
          "checkpoint:saved",
        ]),
        ["evaluate:end", "evaluate:end", "fit:end"],
      ].flat(3),
    );
    expect(events.at(-1)).toMatchObject({ preset: "micro", steps: 8, test: { count: 12 } });
    expect(stderr).toMatch(/^epoch 2\/2/m);
  });

  it("takes other built-in parts by name, with the options before them or a line that says they are left out", async () => {
    const few = ["--preset", "quickstart", "--limit-train", "40", "--limit-test", "10", "--max-steps", "1", "--quiet"];
    const made = async (out: string, ...words: string[]) => {
      const { code, stderr } = await trainer(...few, ...words, "--out", join(base, out));
      expect({ code, stderr }).toMatchObject({ code: 0 });
      return { stderr, config: json(join(base, out, "config.resolved.json")) };
    };
    const larger = await made("larger", "--set", "model=resnet34");
    expect(larger.config.model).toMatchObject({ name: "resnet34", options: { width: 8, stem: "cifar" } });
    expect(larger.stderr).not.toContain("--set");
    const other = await made("other", "--set", "optimizer=adamw", "--set", 'metrics=["f1"]', "--set", "monitor=f1");
    expect(other.stderr).toContain(
      'warning: --set optimizer=adamw: "adamw" has its default options; it does not take those of "sgd" (momentum, nesterov).',
    );
    expect(other.config).toMatchObject({
      optimizer: { name: "adamw" },
      metrics: [{ name: "f1" }],
      monitor: { metric: "f1", direction: "higher" },
    });
  });

  it("gives what it is told to the run", async () => {
    const out = join(base, "told");
    const told = [
      ["--seed", "7"],
      ["--bs", "5"],
      ["--lr", "0.5"],
      ["--with", "cutmix"],
      ["--set", "plugins.cutmix.alpha=0.2"],
      ["--set", "evaluateEvery=3"],
      ["--set", "optimizer.momentum=0.8"],
      ["--holdout", "0"],
      ["--limit-train", "12"],
      ["--limit-test", "4"],
      ["--max-steps", "1"],
      ["--epochs", "9"],
      ["--backend", "wasm"],
      ["--precision", "float32"],
      ["--without", "ema"],
      ["--without", "early-stopping"],
      ["--out", out],
    ].flat();
    expect(await trainer("--config", config, ...told)).toMatchObject({ code: 0 });
    expect(json(join(out, "config.resolved.json"))).toMatchObject({
      seed: 7,
      batchSize: 5,
      learningRate: 0.5,
      holdout: 0,
      limitTrain: 12,
      limitTest: 4,
      maxSteps: 1,
      epochs: 9,
      backend: "wasm",
      evaluateEvery: 3,
      optimizer: { name: "sgd", options: { momentum: 0.8 } },
      plugins: [
        { name: "label-smoothing" },
        { name: "squeeze-excite" },
        { name: "test-time-augmentation" },
        { name: "cutmix", options: { alpha: 0.2 } },
      ],
    });
    expect(json(join(out, "summary.json"))).toMatchObject({
      seed: 7,
      backend: "wasm",
      steps: 1,
      test: { count: 4 },
    });
  });
});

describe("a config of the wrong shape", () => {
  it.each([
    ["plugins that are no list", `{ plugins: "l2" }`, [], /"plugins"/],
    ["a plugin that is none", `{ plugins: [undefined] }`, [], /"plugins.0" expected a plugin/],
    ["no data, and --data", `{}`, ["--data", "somewhere"], /"data" expected a data source/],
  ])("%s: one message, code 2, nothing written", async (name, text, more, message) => {
    const file = join(base, `${name.replaceAll(/\W+/g, "-")}.config.mjs`);
    writeFileSync(file, `export default ${text};`);
    const before = readdirSync(inside);
    const { code, stderr } = await trainer("--config", file, ...more);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("bug in fitloop");
    expect(code).toBe(2);
    expect(readdirSync(inside)).toEqual(before);
  });
});

describe("--quiet", () => {
  it("still says a warning, and the run keeps it", async () => {
    const file = join(base, "warns.config.mjs");
    const made = `import { microConfig } from "fitloop/testing";
      const watch = { name: "watch", options: {}, observer: true, apply({ hooks }) {
        hooks.onStep.tap(() => { throw new Error("lost my glasses"); }); } };
      export default { ...microConfig(), plugins: [watch] };`;
    writeFileSync(file, made);
    const out = join(base, "warned");
    const { code, stderr } = await trainer("--config", file, "--quiet", "--out", out);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^warning: Plugin "watch" failed in hook "onStep": lost my glasses\. It is switched off\.$/m,
    );
    expect(lines(readFileSync(join(out, "metrics.jsonl"), "utf8"))).toContainEqual(
      expect.objectContaining({ event: "warning", message: expect.stringContaining("lost my glasses") }),
    );
  });
});

describe("evaluate", () => {
  // A process keeps the backend it has; a test above has trained on wasm.
  beforeAll(async () => {
    await loadBackend({ name: json(join(run, "summary.json")).backend });
  });

  it.each(["test", "validation"] as const)("gives the very figures that the run ended with: %s", async (split) => {
    const expected = json(join(run, "summary.json"))[split];
    const { code, stdout } = await trainer("evaluate", run, "--split", split, "--json");
    expect(code).toBe(0);
    const { figures, perClass, calibration, dataChanged, ...found } = JSON.parse(stdout);
    expect(dataChanged).toBe(false);
    expect(found).toEqual({ split, ...expected, source: "final" });
    const value = Object.fromEntries(figures.map((figure: any) => [figure.name, figure.value]));
    expect(value["top-1"]).toBeCloseTo(expected.top1, 12);
    expect(value.loss).toBeCloseTo(expected.loss, 12);
    for (const { value, low, high } of figures) expect(low <= value && value <= high).toBe(true);
    const images = (rows: { count: number }[]): number => rows.reduce((sum, { count }) => sum + count, 0);
    for (const { recall, interval } of perClass) expect(interval.low <= recall && recall <= interval.high).toBe(true);
    expect([images(perClass), images(calibration)]).toEqual([expected.count, expected.count]);
  });

  it("shows them in a table", async () => {
    const { stdout } = await trainer("evaluate", run);
    expect(stdout).toMatch(
      /^test, 12 images, mean of several views\n\n +95 % interval\ntop-1 +\d+\.\d % +\d+\.\d % to /,
    );
    expect(stdout).toMatch(/^ECE +\d/m);
    expect(stdout).toMatch(/^one view: top-1 /m);
    expect(stdout).toMatch(/^class +recall +95 % interval +precision +images\n\w+ +\d+\.\d % +\d+\.\d % to \d+\.\d %/m);
    expect(stdout).toMatch(/^bin +confidence +accuracy +images\n\d+\.\d % to /m);
    expect(stdout, "of four classes").not.toContain("top-4");
  });

  const altered = async (name: string, change: (record: any) => unknown): Promise<Ran> => {
    const copy = join(base, name);
    mkdirSync(copy);
    for (const file of ["weights.safetensors", "summary.json"]) copyFileSync(join(run, file), join(copy, file));
    const changed = change(json(join(run, "config.resolved.json")));
    writeFileSync(join(copy, "config.resolved.json"), typeof changed === "string" ? changed : resealed(changed));
    return trainer("evaluate", copy);
  };

  it("refuses what it cannot build again from a folder", async () => {
    const foreign = await altered("foreign", (record) => ({
      ...record,
      plugins: [{ name: "foreign", options: {} }],
      inference: ["foreign"],
    }));
    expect(foreign).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringMatching(/parts that are not built in: plugin "foreign"\. .*--config FILE/),
    });
    const model = await altered("model", (record) => ({ ...record, model: { name: "my-net", options: {} } }));
    expect(model).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/parts that are not built in: model "my-net"/),
    });
  });

  it("needs no optimizer: an evaluation never makes a step", async () => {
    const optimizer = { name: "toString", options: {} };
    expect(await altered("optimizer", (record) => ({ ...record, optimizer }))).toMatchObject({ code: 0 });
  });

  it("calls a damaged folder damaged data", async () => {
    expect(await altered("empty", () => "")).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/expected JSON/),
    });
    expect(await altered("null", () => "null")).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/expected an object, got null/),
    });
    expect(await altered("parts", () => ({}))).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/damaged, was changed or was not written by fitloop: "name"/),
    });
    const cut = join(base, "parts", "weights.safetensors");
    writeFileSync(cut, readFileSync(cut).subarray(0, 500));
    writeFileSync(join(dirname(cut), "config.resolved.json"), readFileSync(join(run, "config.resolved.json")));
    expect(await trainer("evaluate", dirname(cut))).toMatchObject({
      code: 65,
      stderr: expect.stringContaining(cut),
    });
  });
});

describe("predict", () => {
  const image = join(base, "an image.png");
  beforeAll(async () => {
    const blank = { create: { width: 30, height: 20, channels: 3, background: "#a03040" } } as const;
    await sharp(blank).png().toFile(image);
  });

  it("shows the likeliest classes, most likely first", async () => {
    const { code, stdout } = await trainer("predict", run, image, "--top", "2");
    expect(code).toBe(0);
    expect(stdout).toMatch(/an image\.png\n +\d+\.\d % {2}\w+\n +\d+\.\d % {2}\w+\n$/);
  });

  it("says a line of JSON an image, the probabilities of all classes adding up", async () => {
    const { stdout } = await trainer("predict", run, image, image, "--json");
    const [one, two] = lines(stdout);
    expect(one).toEqual(two);
    expect(one!.predictions).toHaveLength(4); // top 5 of 4 classes
    const sum = one!.predictions.reduce(
      (total: number, { probability }: { probability: number }) => total + probability,
      0,
    );
    expect(sum).toBeCloseTo(1, 5);
  });

  const broken = join(base, "broken.jpg");
  beforeAll(() => writeFileSync(broken, "no image"));

  it("reports an image that is damaged, answers the others, and ends with 65", async () => {
    for (const format of [[], ["--json"], ["--csv"]]) {
      const { code, stdout, stderr } = await trainer("predict", run, image, broken, image, "--top", "1", ...format);
      expect(code).toBe(65);
      expect(stderr).toMatch(
        /^warning: .*broken\.jpg cannot be decoded: .*\ntrainer: 1 of 3 images have no answer\.$/m,
      );
      const answered = stdout.split("\n").filter((line) => line.includes("an image.png") && !line.includes("rank"));
      expect(answered).toHaveLength(2);
      expect(answered[0]).toBe(answered[1]);
    }
  });

  it("writes CSV, a row a class, cells quoted where they must be", async () => {
    const odd = join(base, 'a, "b".png');
    copyFileSync(image, odd);
    const { stdout } = await trainer("predict", run, odd, broken, "--csv", "--top", "2");
    const [head, first, second, damaged, ...rest] = stdout.trimEnd().split("\n");
    expect(head).toBe("image,rank,class,probability,error");
    expect(first).toMatch(/^".*a, ""b""\.png",1,\w+,0\.\d+,$/);
    expect(second).toMatch(/,2,\w+,0\.\d+,$/);
    expect(damaged).toMatch(/broken\.jpg,,,,.*cannot be decoded/);
    expect(rest).toEqual([]);
  });

  it("refuses a single image that is damaged", async () => {
    expect(await trainer("predict", run, broken)).toMatchObject({
      code: 65,
      stdout: "",
      stderr: expect.stringMatching(/^trainer: .*broken\.jpg cannot be decoded: /),
    });
  });

  it("takes folders: all images below, by name, and tells of the rest", async () => {
    const inbox = join(base, "inbox");
    mkdirSync(join(inbox, "deep"), { recursive: true });
    for (const name of ["b.png", "a.png", "deep/c.PNG"]) copyFileSync(image, join(inbox, name));
    writeFileSync(join(inbox, "notes.txt"), "hello");
    const { code, stdout, stderr } = await trainer("predict", run, inbox, "--json", "--top", "1", "--batch-size", "2");
    expect(code).toBe(0);
    expect(lines(stdout).map(({ image }) => image)).toEqual(
      ["a.png", "b.png", "deep/c.PNG"].map((name) => join(inbox, name)),
    );
    expect(stderr).toContain("1 file is not taken for images: notes.txt");
  });

  it.each([
    ["a folder without images", [mkdtempSync(join(base, "empty-"))], /has no images: expected files such as/],
    [
      "a pattern in quotes",
      ["*.png"],
      /No such image: \*\.png\. The shell expands \* and \?: write them without quotes/,
    ],
  ])("refuses %s", async (_, words, message) => {
    expect(await trainer("predict", run, ...words)).toMatchObject({ code: 65, stderr: expect.stringMatching(message) });
  });

  it("refuses weights that no run wrote", async () => {
    const copy = join(base, "stripped");
    mkdirSync(copy);
    for (const file of ["config.resolved.json", "summary.json"]) copyFileSync(join(run, file), join(copy, file));
    const { tensors } = readSafetensors(readFileSync(join(run, "weights.safetensors")));
    writeFileSync(join(copy, "weights.safetensors"), writeSafetensors(tensors));
    const { code, stderr } = await trainer("predict", copy, image);
    expect(code).toBe(65);
    expect(stderr).toContain("no checksum in weights.safetensors, so damage there goes unnoticed");
    expect(stderr).toContain("Expected weights that a run wrote");
  });
});

describe("plan", () => {
  it("trains and writes nothing", async () => {
    const before = readdirSync(inside);
    const { code, stdout } = await trainer("plan", "--config", config, "--epochs", "4");
    expect(code).toBe(0);
    expect(stdout).toMatch(/steps +4 per epoch, 16 in 4 epochs; 1 × 8 images each/);
    expect(stdout).toMatch(/each micro-batch +beforeBatch: label-smoothing/);
    expect(readdirSync(inside)).toEqual(before);
  });

  it("is JSON for machines", async () => {
    const plan = JSON.parse((await trainer("plan", "--config", config, "--json", "--without", "ema")).stdout);
    expect(plan).toMatchObject({ name: "micro", totalSteps: 8, learningRate: expect.any(Array) });
    expect(plan.hints).toEqual([expect.stringContaining("linear-scaling rule")]);
    expect(plan.taps.map(({ plugin }: { plugin: string }) => plugin)).not.toContain("ema");
  });
});

describe("plan with weights", () => {
  it.each([
    ["nope.safetensors", /nope\.safetensors cannot be read: ENOENT/],
    ["weights.pth", /weights\.pth is a zip file, as torch\.save writes it/],
  ])("refuses a file that the run would refuse: %s", async (path, expected) => {
    writeFileSync("weights.pth", "PK\x03\x04");
    const plan = await trainer("plan", "--config", config, "--weights", path);
    const fit = await trainer(
      "--config",
      config,
      "--weights",
      path,
      "--out",
      join(base, "refused"),
      "--max-steps",
      "1",
    );
    expect(plan).toMatchObject({ code: fit.code, stdout: "", stderr: expect.stringMatching(expected) });
    expect(fit.stderr).toMatch(expected);
  });

  it("takes a file that is there", async () => {
    const weights = join(run, "weights.safetensors");
    expect(await trainer("plan", "--config", config, "--weights", weights)).toMatchObject({ code: 0 });
  });
});

describe("plan of what a run refuses at once", () => {
  const needs =
    'needs TensorFlow, and the backend is wasm. Install it with `trainer backend install` and set backend: "tensorflow"';
  it.each([
    [["--with", "prune", "--backend", "wasm"], `Plugin "prune" ${needs}, or remove "prune".`],
    [
      ["--with", "quantize-aware", "--backend", "wasm"],
      `Plugin "quantize-aware" ${needs}, or remove "quantize-aware".`,
    ],
    [["--with", "distill", "--set", "plugins.distill.teacher=nowhere"], "nowhere is not a run"],
    [["--with", "distill", "--set", `plugins.distill.teacher=${base}`], 'Plugin "distill": '],
  ])("%j", async (options, expected) => {
    const { code, stdout, stderr } = await trainer("plan", "--config", config, ...options);
    expect(stderr).toContain(expected);
    expect({ code, stdout }).toEqual({ code: options.includes("distill") ? 65 : 2, stdout: "" });
  });

  it("but not of a teacher that is a run, or is not asked", async () => {
    const set = ["--with", "distill", "--set", `plugins.distill.teacher=${run}`];
    expect(await trainer("plan", "--config", config, ...set)).toMatchObject({ code: 0 });
    const off = ["--with", "distill", "--set", "plugins.distill.teacher=nowhere", "--set", "plugins.distill.alpha=0"];
    expect(await trainer("plan", "--config", config, ...off)).toMatchObject({ code: 0 });
  });
});

describe("plan of CIFAR", () => {
  it("needs no download: the published sizes are enough", async () => {
    vi.stubEnv("FITLOOP_CACHE", join(base, "no-cache"));
    try {
      const { code, stdout } = await trainer("plan", "--preset", "cifar100-small", "--json");
      expect(code).toBe(0);
      const { samples, parameters, stepsPerEpoch } = JSON.parse(stdout);
      expect(samples).toEqual({ train: 49_000, validation: 1000, test: 10_000 });
      expect([parameters, stepsPerEpoch]).toEqual([713_076, 383]);
      expect(existsSync(join(base, "no-cache"))).toBe(false);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe("profile", () => {
  const args = ["profile", "--config", config, "--epochs", "3", "--steps", "6"];

  it("adds up: native operations and the rest are the step, and nothing is written", async () => {
    const before = readdirSync(inside);
    const { code, stdout } = await trainer(...args, "--json");
    expect(code).toBe(0);
    const { steps, images, millisecondsPerStep, native, rest, plugins } = JSON.parse(stdout);
    expect(steps).toBe(6);
    expect(images).toBe(48);
    expect(native.millisecondsPerStep + rest).toBeCloseTo(millisecondsPerStep, 9);
    const sum = native.operations.reduce(
      (total: number, { milliseconds }: { milliseconds: number }) => total + milliseconds,
      0,
    );
    expect(sum).toBeCloseTo(native.millisecondsPerStep, 9);
    expect(native.operations.map(({ name }: { name: string }) => name)).toContain("Conv2DBackpropFilter");
    expect(Object.keys(plugins)).toContain("ema");
    expect(readdirSync(inside)).toEqual(before);
  });

  it("of a step as graphs shows them whole, and what is in them from a second time, and both as a trace", async () => {
    const trace = join(inside, "trace.json");
    const many = ["profile", "--config", config, "--batch-size", "2", "--steps", "6", "--json", "--trace", trace];
    const { code, stdout } = await trainer(...many);
    expect(code).toBe(0);
    const { native, single } = JSON.parse(stdout);
    const named = ({ operations }: { operations: { name: string; calls: number }[] }, start: string): number =>
      operations.filter(({ name }) => name.startsWith(start)).reduce((sum, { calls }) => sum + calls, 0);
    expect(named(native, "graphs")).toBe(2);
    expect(named(native, "Conv2D")).toBe(0);
    expect(named(single.native, "graphs")).toBe(0);
    expect(named(single.native, "Conv2DBackpropFilter")).toBeGreaterThan(8);
    const { traceEvents } = JSON.parse(readFileSync(trace, "utf8"));
    const spans = traceEvents.filter(({ ph }: { ph: string }) => ph === "X");
    for (const pid of [1, 2]) {
      const steps = spans.filter(
        (span: { pid: number; name: string }) => span.pid === pid && span.name.startsWith("step "),
      );
      expect(steps).toHaveLength(6);
      // Every call lies in a step.
      for (const { ts, dur } of spans.filter((span: { pid: number; name: string }) => span.pid === pid)) {
        expect(
          steps.some((step: { ts: number; dur: number }) => ts >= step.ts - 1 && ts + dur <= step.ts + step.dur + 1),
        ).toBe(true);
      }
    }
    expect(await trainer(...many)).toMatchObject({ code: 73, stderr: expect.stringContaining("already exists") });
    rmSync(trace);
  });

  it("leaves the backend as it was, and shows a table that fits", async () => {
    const { binding } = tf.backend() as unknown as { binding: object };
    const { stdout } = await trainer(...args, "--operations", "3");
    expect((tf.backend() as unknown as { binding: object }).binding).toBe(binding);
    expect(stdout).toMatch(/^native calls +\d/m);
    expect(stdout).toMatch(/^ {2}\d+ more +\d/m);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });

  it("refuses a run that is shorter than the warm-up", async () => {
    expect(await trainer("profile", "--config", config, "--epochs", "1", "--limit-train", "20")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/more than 4. Raise --epochs/),
    });
  });
});

describe("lr-find", () => {
  const args = ["lr-find", "--config", config, "--epochs", "5", "--steps", "15"];

  it("trains while the rate grows, suggests, and leaves nothing behind", async () => {
    const before = readdirSync(inside);
    const { code, stdout } = await trainer(...args, "--from", "0.001", "--to", "1", "--json");
    expect(code).toBe(0);
    const { points, suggestion, problem } = JSON.parse(stdout);
    expect(suggestion === null).toBe(problem !== undefined);
    expect(points.length).toBeGreaterThan(5);
    expect(points[0].rate).toBeCloseTo(0.001, 12);
    for (const [at, { rate }] of points.entries()) expect(rate / (0.001 * 1000 ** (at / 14))).toBeCloseTo(1, 9);
    expect(suggestion === null || suggestion.steepest > 0).toBe(true);
    expect(readdirSync(inside)).toEqual(before);
    expect(await trainer(...args, "--from", "0.001", "--to", "1", "--json")).toMatchObject({ stdout });
  });

  it("shows a chart that fits, and ends where the loss breaks away", async () => {
    const { code, stdout } = await trainer(...args, "--from", "1", "--to", "1e9");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^smoothed loss over the learning rate, \d+ steps\n\n[\d.]+ /);
    const chart = stdout.split("\n\n").slice(0, 2).join("\n").split("\n");
    for (const line of chart) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("says that a flat curve means nothing, and draws it all the same, over no file", async () => {
    const flat = [...args, "--from", "1e-9", "--to", "1e-8", "--out", "curve.svg"];
    const { code, stdout } = await trainer(...flat);
    expect(code).toBe(0);
    expect(stdout).toMatch(/The curve is too flat to suggest a rate: .*--steps 30/);
    expect(stdout).not.toContain("steepest");
    const svg = readFileSync(join(inside, "curve.svg"), "utf8");
    expect(svg.match(/<circle /g)).toHaveLength(15);
    expect(await trainer(...flat)).toMatchObject({
      code: 73,
      stderr: expect.stringMatching(/curve\.svg already exists/),
    });
    rmSync(join(inside, "curve.svg"));
  });

  it("marks rates where they lie in the chart", () => {
    const range = { first: 0.001, last: 1, width: 31 };
    expect(marksOf({ s: 0.1, a: 0.01 }, range)).toBe(`${" ".repeat(10)}a${" ".repeat(9)}s`);
    expect(marksOf({ s: 0.001, a: 0.001 }, range)).toBe("*");
    expect(marksOf({ s: 1, a: 0.0001 }, range), "one lies beside it").toBe(`${" ".repeat(30)}s`);
  });

  it("refuses a range that ends before it begins", async () => {
    expect(await trainer(...args, "--from", "1", "--to", "0.1")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/expected --from below --to, got 1 and 0\.1/),
    });
  });
});

describe("report and compare", () => {
  it("writes a run's page again", async () => {
    const before = readFileSync(join(run, "report.html"), "utf8");
    rmSync(join(run, "report.html"));
    const { code, stdout } = await trainer("report", run);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${join(run, "report.html")}\n` });
    // But for the moment at which it was written, and what only the process that trains knows.
    const data = (html: string): any =>
      JSON.parse(/<script type="application\/json" id="data">(.*)<\/script>/.exec(html)![1]!);
    const blocks = (html: string): string[] => data(html).blocks.map(({ title }: { title: string }) => title);
    const again = readFileSync(join(run, "report.html"), "utf8");
    expect(blocks(again)).toEqual(blocks(before));
    expect(data(again).blocks).toEqual(data(before).blocks);
    expect(data(again).reload).toBeUndefined();
  });

  it("calls a folder that is no run damaged data", async () => {
    expect(await trainer("report", base)).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/is not the folder of a run/),
    });
  });

  it("compares runs in a table and a page, and overwrites nothing unasked", async () => {
    const other = join(base, "other seed");
    await trainer("--config", config, "--seed", "2", "--out", other, "--quiet");
    const page = join(base, "both.html");
    const { code, stdout } = await trainer("compare", run, other, "--out", page);
    expect(code).toBe(0);
    expect(stdout).toMatch(/and 1 more seed +\d+\.\d % ± \d+\.\d % \(2\)/);
    expect(readFileSync(page, "utf8")).toContain("Groups of seeds");
    expect(await trainer("compare", run, other, "--out", page)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--force/),
    });
    const { stdout: json } = await trainer("compare", run, other, "--json");
    expect(JSON.parse(json)).toEqual([
      {
        runs: [run, other],
        unfinished: [],
        figures: expect.objectContaining({
          "test top-1": { count: 2, mean: expect.any(Number), deviation: expect.any(Number) },
        }),
      },
    ]);
    const repeat = join(base, "again");
    await trainer("--config", config, "--out", repeat, "--quiet");
    const repeated = await trainer("compare", run, other, repeat, "--out", page, "--force");
    expect(repeated.stderr).toBe(
      "warning: Runs that repeat a seed are not independent. Each seed counts once in means and deviations: again (seed of run).\n",
    );
    expect(repeated.stdout).toMatch(/^run and 1 more seed, 1 repeated /m);
    for (const one of [[run], [run, `${run}/`]]) {
      expect(await trainer("compare", ...one)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/expected two or more runs/),
      });
    }
    const deep = join(base, "new", "folder", "both.html");
    expect((await trainer("compare", run, other, "--out", deep)).code).toBe(0);
    expect(readdirSync(dirname(deep))).toEqual(["both.html"]);
    const blocked = await trainer("compare", run, other, "--out", join(page, "both.html"));
    expect(blocked).toMatchObject({
      code: 73,
      stderr: expect.stringMatching(/The folder .*both\.html cannot be written: .*--out/),
    });
  });
});

describe("gradcam", () => {
  const folder = join(base, "drawings");
  const image = join(base, "seen.png");
  beforeAll(async () => {
    const blank = { create: { width: 30, height: 20, channels: 3, background: "#3050a0" } } as const;
    await sharp(blank).png().toFile(image);
  });

  it("draws an image file, for a given class and layer", async () => {
    const args = ["gradcam", run, image, "--class", "square", "--layer", "layer2", "--out", folder, "--json"];
    const { code, stdout } = await trainer(...args);
    expect(code).toBe(0);
    const file = join(folder, "seen-square.png");
    const drawn = [{ image: image, class: "square", probability: expect.any(Number), file }];
    expect(JSON.parse(stdout)).toEqual({ folder, drawn, page: join(folder, "gallery.html") });
    // The image and its overlay, 8 x 8 each, enlarged to 192.
    expect(await sharp(file).metadata()).toMatchObject({ width: 384, height: 192, format: "png" });
    const { data } = await sharp(file)
      .extract({ left: 0, top: 0, width: 1, height: 1 })
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([...data]).toEqual([0x30, 0x50, 0xa0]);
  });

  it("without files draws the run's own images and scores both games", async () => {
    const { code, stdout } = await trainer("gradcam", run, "--images", "3", "--out", join(base, "own"), "--json");
    expect(code).toBe(0);
    const { drawn, pointing, grid } = JSON.parse(stdout);
    expect(drawn).toHaveLength(3);
    for (const { file } of drawn) expect(readFileSync(file).subarray(1, 4).toString()).toBe("PNG");
    // In wide scenes a guess at the middle can miss.
    expect(pointing).toMatchObject({ images: 12 });
    expect(pointing.guess).toBeLessThan(12);
    expect(grid.guess).toBe(grid.images / 4);
  });

  it("writes each drawing to its own file, and all of them to a gallery", async () => {
    const names = ["seen-again.png", "seen again.png", "seen  again.png"];
    for (const name of names) writeFileSync(join(base, name), readFileSync(image));
    const out = join(base, "twins");
    const images = [image, ...names.map((name) => join(base, name)), image];
    const { code, stdout } = await trainer("gradcam", run, ...images, "--out", out);
    expect(code).toBe(0);
    expect(stdout).toContain(`\ndrawings: ${out}, all in gallery.html and gallery.png\n`);
    expect(readdirSync(out)).toHaveLength(images.length + 2);
    // Four pairs of 8 x 8, two pixels apart, twelve times as large; the fifth is in a second row.
    expect(await sharp(join(out, "gallery.png")).metadata()).toMatchObject({
      width: 12 * (8 * 10 + 2),
      height: 12 * (2 * 10 + 2),
    });
  });

  it("refuses options for the run's own images, and paths that cannot exist", async () => {
    for (const option of [
      ["--split", "test"],
      ["--images", "3"],
      ["--data", base],
    ]) {
      const message = expect.stringMatching(`${option[0]} chooses among the run's own images`);
      expect(await trainer("gradcam", run, image, ...option)).toMatchObject({ code: 2, stderr: message });
    }
    const message = expect.stringMatching(/seen\.png\/foo cannot be written: .*--out/);
    expect(await trainer("gradcam", run, image, "--out", `${image}/foo`)).toMatchObject({
      code: 73,
      stderr: message,
    });
  });

  it("refuses an unknown class, an unknown layer and a missing image", async () => {
    const refused = async (...args: string[]): Promise<Ran> => trainer("gradcam", run, ...args);
    expect(await refused(image, "--class", "squar")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no class "squar" \(did you mean "square"\?\)/),
    });
    expect(await refused(image, "--layer", "layr2")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/"layer2"/),
    });
    expect(await refused(join(base, "absent.png"))).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(/No such/),
    });
  });
});

describe("lists", () => {
  it("presets has each in a line", async () => {
    const { stdout } = await trainer("presets");
    const [list, note] = stdout.trim().split("\n\n");
    expect(list!.split("\n").map((line) => line.split(" ")[0])).toEqual(Object.keys(presets));
    expect(list).toMatch(/^quickstart +\d+\.\d ± \d\.\d % /);
    for (const line of list!.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect(note).toMatch(/^Accuracy: /);
    const rows = JSON.parse((await trainer("presets", "--json")).stdout);
    expect(rows).toHaveLength(Object.keys(presets).length);
    expect(rows[0]).toMatchObject({ name: "quickstart", top1: { seeds: [1, 2, 3, 4] } });
  });

  it("plugins has each in a line, and the options of each", async () => {
    const { stdout } = await trainer("plugins");
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" ")[0]),
    ).toEqual(Object.keys(plugins));
    for (const [name, { definition }] of Object.entries(plugins)) {
      const { code, stdout: about } = await trainer("plugins", name);
      expect(code).toBe(0);
      expect(about.startsWith(`${name}: ${definition.summary}\n`)).toBe(true);
      for (const [option, schema] of Object.entries(definition.options.shape)) {
        expect(about, name).toMatch(new RegExp(`^ +${option} .*${escaped(schema.description!)}$`, "m"));
      }
      const { options } = JSON.parse((await trainer("plugins", name, "--json")).stdout);
      expect(options).toHaveLength(Object.keys(definition.options.shape).length);
    }
  });
});

describe("plugins of a config", () => {
  const file = join(base, "own-plugins.config.mts");
  writeFileSync(
    file,
    `import { definePlugin, z } from "fitloop";
    import { ema } from "fitloop/plugins";
    import { microConfig } from "fitloop/testing";
    const loud = definePlugin({
      name: "loud", summary: "Shouts", apply() {},
      options: z.strictObject({ volume: z.number().default(3).describe("how loud") }),
    });
    const plain = { name: "plain", options: { width: 2 }, apply() {} };
    export default microConfig({ plugins: [loud({ volume: 9 }), plain, ema()] });`,
  );

  it("are described as built-in ones are", async () => {
    expect((await trainer("plugins", "loud", "--config", file)).stdout).toMatch(
      /^loud: Shouts\n\n +option +default\n +volume +3 +how loud\n\ndefined in: .*own-plugins\.config\.mts\n$/,
    );
    expect((await trainer("plugins", "plain", "--config", file)).stdout).toMatch(
      /^plain: written by hand.*\n +width +2\n/s,
    );
    expect(await trainer("plugins", "lod", "--config", file)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Unknown plugin "lod" (did you mean "loud"?)'),
    });
    copyFileSync(file, "trainer.config.mts"); // in the working folder
    expect((await trainer("plugins", "loud")).stdout).toMatch(/^loud: Shouts\n/);
    rmSync("trainer.config.mts");
  });

  it("and the card of a built-in one is there", async () => {
    for (const words of [["ema"], ["ema", "--config", file]]) {
      const { stdout } = await trainer("plugins", ...words);
      const [, card] = /^card: (.*)$/m.exec(stdout)!;
      expect(readFileSync(card!, "utf8")).toMatch(/^# ema/);
    }
  });
});

describe("data verify", () => {
  it("reads drawn shapes", async () => {
    const { code, stdout } = await trainer("data", "verify", "--kind", "shapes");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^shapes: 10 classes.*\n.*fingerprint/);
  });

  it("reads an archive of CIFAR-100", async () => {
    const archive = join(base, "cifar-100-binary.tar.gz");
    writeFileSync(archive, gzip(await tarOfFiles(miniCifar100())));
    const { code, stdout } = await trainer("data", "verify", "--data", archive, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ source: "cifar100", train: { images: 100 }, clean: true });
  });

  it("reads folders of images", async () => {
    for (const [name, background] of [
      ["cats", "red"],
      ["dogs", "blue"],
    ] as const) {
      mkdirSync(join(base, "images", name), { recursive: true });
      const blank = { create: { width: 9, height: 9, channels: 3, background } } as const;
      await sharp(blank)
        .png()
        .toFile(join(base, "images", name, "1.png"));
    }
    const args = ["--kind", "image-folder", "--data", join(base, "images"), "--size", "8"];
    expect(await trainer("data", "verify", ...args)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/2 classes, images of 8 x 8/),
    });
  });
});

describe("backend status", () => {
  it("names the backend in use", async () => {
    const { code, stdout } = await trainer("backend", "status", "--json");
    expect(code).toBe(0);
    expect(() => JSON.parse(stdout)).not.toThrow();
  });
});

describe("help", () => {
  const commands = (command = createProgram(), path: string[] = []): string[][] => [
    path,
    ...command.commands.flatMap((each) => commands(each as ReturnType<typeof createProgram>, [...path, each.name()])),
  ];

  it.each(commands().map((path) => [path.join(" ") || "trainer", path] as const))("of %s teaches", async (_, path) => {
    const { code, stdout } = await trainer(...path, "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: trainer/);
    let command = createProgram();
    for (const name of path) command = command.commands.find((each) => each.name() === name)! as typeof command;
    expect(command.description()).not.toBe("");
    for (const option of command.options) expect(option.description, option.flags).not.toBe("");
    for (const [index, line] of stdout.split("\n").entries())
      expect(line.length, `line ${index + 1}`).toBeLessThanOrEqual(80);
  });

  it("says the version", async () => {
    const { version } = json(fileURLToPath(new URL("../../package.json", import.meta.url)));
    expect(await trainer("--version")).toMatchObject({ code: 0, stdout: `${version}\n` });
  });
});

/** A record that was changed, with a checksum that fits again. */
const resealed = ({ checksum: _, ...record }: any): string => toCheckedJson(record);

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
