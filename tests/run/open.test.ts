/** `train` and `openRun` from code: a run that was just trained and one that is opened later are the same thing. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { formatResults } from "../../cli/progress.js";
import { losses, metrics, type OpenOptions, openRun, type Prediction, type Run, tf, train } from "../../run/index.js";
import { imageConfig } from "../support/image-config.js";
import { trainer } from "../support/run-cli.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-open-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const images = join(base, "images");
const folder = join(base, "run");
const files: string[] = [];
let trained: Run;
beforeAll(async () => {
  // A colour a class, with noise; every fourth image lies in the wrong folder, so that no network is sure and right.
  for (const [label, colour] of [
    ["blue", [50, 40, 200]],
    ["red", [200, 40, 50]],
  ] as const) {
    for (const split of ["train", "test"]) {
      mkdirSync(join(images, split, label), { recursive: true });
      for (let n = 0; n < 12; n++) {
        const shown = n % 4 === 3 ? colour.toReversed() : colour;
        const pixels = Buffer.from(
          Array.from({ length: 12 * 12 * 3 }, (_, at) => shown[at % 3]! + ((at * 7 + n * 31) % 40)),
        );
        const file = join(images, split, label, `${String(n).padStart(2, "0")}.png`);
        await sharp(pixels, { raw: { width: 12, height: 12, channels: 3 } })
          .png()
          .toFile(file);
        if (split === "test") files.push(file);
      }
    }
  }
  trained = await train(imageConfig(images), { folder });
});
afterAll(() => trained.dispose());

const byClass = (predictions: readonly Prediction[]): Record<string, number> =>
  Object.fromEntries(predictions.map((each) => [each.class, each.probability]));

describe("a run from code", () => {
  it("has figures, classes, weights and folder, and leaves what the command line leaves", () => {
    expect(trained.folder).toBe(folder);
    expect(trained.classes).toEqual(["blue", "red"]);
    expect(trained.test).toEqual(trained.summary.test);
    expect(trained.test!.count).toBe(24);
    expect(trained.weights.get("linear.weight")!.shape).toEqual([32, 2]);
    for (const name of [
      "config.resolved.json",
      "metrics.jsonl",
      "summary.json",
      "weights.safetensors",
      "report.html",
    ]) {
      expect(readFileSync(join(folder, name)).length, name).toBeGreaterThan(100);
    }
  });

  it("opened again answers with the same bits", async () => {
    const again = await openRun(folder);
    expect(again.summary).toEqual(trained.summary);
    expect(await again.predict(files)).toEqual(await trained.predict(files));
    again.dispose();
  });

  it("resumes: a finished run extends to the bits of one that was never stopped", async () => {
    const [whole, part] = [join(base, "whole"), join(base, "part")];
    const longer = { ...imageConfig(images), epochs: 3 };
    (await train(longer, { folder: whole })).dispose();
    (await train(imageConfig(images), { folder: part })).dispose();
    const run = await train(longer, { folder: part, resume: true });
    run.dispose();
    expect(run.summary.epochs).toBe(3);
    const bytes = (at: string): Buffer => readFileSync(join(at, "weights.safetensors"));
    expect(bytes(part).equals(bytes(whole))).toBe(true);
  });

  it("resumed after its end is returned as it is, even where it is told to stop at once", async () => {
    const at = join(base, "ended");
    const config = imageConfig(images);
    const first = await train(config, { folder: at });
    const summary = readFileSync(join(at, "summary.json"));
    const [lines, events]: string[][] = [[], []];
    const again = await train(config, {
      folder: at,
      resume: true,
      signal: AbortSignal.abort("at once"),
      log: (line) => void lines!.push(line),
      watch: (emitter) => emitter.on("*", (event) => void events!.push(event)),
    });
    expect({ lines, events }).toEqual({ lines: [expect.stringMatching(/^This run has ended \(epochs\)/)], events: [] });
    expect(again.test).toEqual(first.test);
    expect(await again.predict(files)).toEqual(await first.predict(files));
    expect(readFileSync(join(at, "summary.json")).equals(summary)).toBe(true);
    first.dispose();
    again.dispose();
  });

  it("stopped by a signal gives its weights so far, and says why it stopped", async () => {
    const stop = new AbortController();
    const print = vi.spyOn(console, "error");
    const run = await train(imageConfig(images), {
      folder: join(base, "stopped"),
      signal: stop.signal,
      watch: (events) => events.on("step", ({ step }) => step === 2 && stop.abort("enough")),
    });
    expect(run.summary).toMatchObject({ stopReason: "interrupted (enough)", steps: 2 });
    expect(String(print.mock.calls.flat())).not.toContain("ended early"); // who stops a run knows
    print.mockRestore();
    const said: string[] = [];
    const watch: OpenOptions["watch"] = (events) => events.on("warning", ({ message }) => said.push(message));
    (await openRun(run.folder, { watch })).dispose();
    expect(said).toEqual([
      `${run.folder} ended early (interrupted (enough)), and its weights are those of step 2. To finish it: trainer --resume ${run.folder}`,
    ]);
    expect((await run.predict(files[0]!))[0]!.probability).toBeGreaterThan(0.4);
    run.dispose();
    const again = await openRun(run.folder, { watch });
    await again.evaluate({ split: "validation" });
    again.dispose();
    expect(said).toHaveLength(2); // once for each that was opened
  });

  it.each([
    ["a folder that is taken", { folder }, "ERR_OUTPUT"],
    ["two places", { folder, resume: "elsewhere" }, "ERR_OPTION"],
    ["a run that is not there", { resume: "elsewhere" }, "ERR_DATA"],
  ])("throws for %s, and exits from nothing", async (_, options, code) => {
    await expect(train(imageConfig(images), options)).rejects.toMatchObject({ code });
  });
});

describe("predict", () => {
  it("gives every class, the best first, adding up to 1; or as many as asked", async () => {
    const [first, second] = await trained.predict(files[0]!);
    expect(first!.probability).toBeGreaterThanOrEqual(second!.probability);
    expect(first!.probability + second!.probability).toBeCloseTo(1, 6);
    expect(await trained.predict([files[0]!, files[1]!], { top: 1 })).toEqual([[first], [expect.anything()]]);
  });

  it("has the bits of evaluate for the same batches, and is within 1e-5 of them for others", async () => {
    const { outputsOf } = await import("../../run/evaluate.js");
    const { openFolder } = await import("../../run/open.js");
    const { outputs, classes } = await outputsOf(await openFolder(folder), "test");
    const expected = (row: number, name: string): number => outputs.probabilities[row * 2 + classes.indexOf(name)]!;
    for (const [row, predictions] of (await trained.predict(files)).entries()) {
      for (const each of predictions) expect(each.probability).toBe(expected(row, each.class));
    }
    for (const batchSize of [1, 5, 24]) {
      for (const [row, predictions] of (await trained.predict(files, { batchSize })).entries()) {
        for (const each of predictions)
          expect(Math.abs(each.probability - expected(row, each.class))).toBeLessThan(1e-5);
      }
    }
  });

  it("takes paths, bytes and decoded images alike", async () => {
    const [file] = files;
    const bytes = readFileSync(file!);
    const { data } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    const decoded = { pixels: new Uint8Array(data), height: 12, width: 12 };
    const [a, b, c] = await trained.predict([file!, bytes, decoded], { batchSize: 1 });
    expect(b).toEqual(a);
    expect(c).toEqual(a);
    // Of another size: scaled and cut, as a file of that size is.
    const wide = await sharp(file).resize(40, 24, { fit: "fill" }).png().toBuffer();
    const pixels = new Uint8Array(await sharp(wide).raw().toBuffer());
    const [d, e] = await trained.predict([wide, { pixels, height: 24, width: 40 }], { batchSize: 1 });
    expect(e).toEqual(d);
  });

  it("names every image that it cannot decode, and answers the others one by one", async () => {
    const bad = join(base, "bad.png");
    writeFileSync(bad, "no image");
    const wrong = { pixels: new Uint8Array(5), height: 2, width: 2 };
    await expect(trained.predict([files[0]!, bad, wrong])).rejects.toThrow(
      /bad\.png cannot be decoded: .*\n.*2 × 2: expected 12 bytes/,
    );
    await expect(trained.predict(join(base, "absent.png"))).rejects.toMatchObject({ code: "ERR_DATA" });
    const kinds: string[] = [];
    for await (const answer of trained.predictEach([bad, files[0]!, wrong]))
      kinds.push("error" in answer ? "error" : "answer");
    expect(kinds).toEqual(["error", "answer", "error"]);
    expect(await trained.predict([])).toEqual([]);
    await expect(trained.predict(files, { top: 0 })).rejects.toThrow(
      '"top" of predict: expected a whole number from 1, got 0.',
    );
  });

  it("keeps no tensor, also where it fails", async () => {
    await trained.predict(files);
    const before = tf.memory().numTensors;
    for (let turn = 0; turn < 5; turn++) {
      await trained.predict(files, { batchSize: 7 });
      await trained.gradCam(files[0]!);
      await trained.predict([Buffer.from("no image")]).catch(() => {});
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});

it("gradCam says where, for the class that is asked for", async () => {
  const found = await trained.gradCam(files[0]!, { class: "red" });
  expect(found).toMatchObject({ class: "red", image: { height: 12, width: 12 } });
  expect(found.probability).toBeCloseTo(byClass(await trained.predict(files[0]!))["red"]!, 5);
  expect(found.map).toHaveLength(144);
  expect([...found.map].every((each) => each >= 0 && each <= 1.0001)).toBe(true);
  expect((await sharp(await found.png()).metadata()).format).toBe("png");
  await expect(trained.gradCam(files[0]!, { class: "rd" })).rejects.toThrow('no class "rd" (did you mean "red"?)');
});

it("evaluate gives the figures that the run ended with", async () => {
  const { split, loss, top1, count, figures } = await trained.evaluate();
  expect({ split, loss, top1, count }).toEqual({
    split: "test",
    loss: trained.test!.loss,
    top1: trained.test!.top1,
    count: 24,
  });
  expect(figures.map(({ name }) => name)).toEqual(["top-1", "loss", "ECE"]);
});

it("a run of an earlier version says so once, and data that has changed at each evaluation", async () => {
  const [at, moved] = [join(base, "earlier"), join(base, "changed")];
  cpSync(folder, at, { recursive: true });
  cpSync(images, moved, { recursive: true });
  renameSync(join(moved, "test/red/00.png"), join(moved, "test/blue/99.png"));
  const { checksum: _, ...summary } = JSON.parse(readFileSync(join(at, "summary.json"), "utf8"));
  writeFileSync(join(at, "summary.json"), JSON.stringify(summary));
  const said: string[] = [];
  const watch: OpenOptions["watch"] = (events) => events.on("warning", ({ message }) => said.push(message));
  const run = await openRun(at, { watch, data: moved });
  for (let times = 0; times < 2; times++) expect(await run.evaluate()).toMatchObject({ dataChanged: true });
  run.dispose();
  expect(said).toEqual([
    expect.stringContaining("comes from an earlier version of fitloop: no checksum in summary.json"),
    expect.stringContaining("The data has changed since the run was trained"),
    expect.stringContaining("The data has changed since the run was trained"),
  ]);
});

it("evaluate has the run's own loss and metrics, with intervals", async () => {
  const config = { ...imageConfig(images), loss: losses.focal({ gamma: 3 }), metrics: [metrics.f1()], monitor: "f1" };
  const run = await train(config, { folder: join(base, "focal") });
  const { figures, loss, more } = await run.evaluate({ resamples: 50 });
  run.dispose();
  expect(figures.map(({ name }) => name)).toEqual(["top-1", "loss", "ECE", "f1"]);
  const of = (name: string) => figures.find((each) => each.name === name)!;
  expect(of("loss").value).toBeCloseTo(loss, 5);
  expect(of("f1").value).toBe(more!.f1);
  for (const name of ["loss", "f1"]) {
    expect(of(name).low).toBeLessThan(of(name).value);
    expect(of(name).high).toBeGreaterThan(of(name).value);
  }
  expect(run.summary).toMatchObject({ best: { metric: "f1" }, test: { more: { f1: more!.f1 } } });
});

it("a figure that is not a number is one again, not its text", async () => {
  const odd = { name: "odd", options: {}, compute: () => Number.NaN };
  const run = await train({ ...imageConfig(images), metrics: [odd] }, { folder: join(base, "odd") });
  run.dispose();
  expect(run.test!.more).toEqual({ odd: Number.NaN });
  expect(formatResults(run.summary)).toMatch(/odd[^]*NaN/);
});

it("export writes what trainer export writes, after training and after opening", async () => {
  const words = ["export", folder, "--to", "onnx", "--out", join(base, "typed")];
  expect(await trainer(...words)).toMatchObject({ code: 0 });
  const typed = readFileSync(join(base, "typed", "model.onnx"));
  const opened = await openRun(folder);
  for (const [name, run] of Object.entries({ trained, opened })) {
    const { files, difference } = await run.export({ to: "onnx", folder: join(base, name) });
    const { length } = typed;
    expect(files).toEqual([
      { format: "onnx", path: join(base, name, "model.onnx"), bytes: length, float32Bytes: length },
    ]);
    expect(difference).toBeLessThan(1e-4);
    expect(readFileSync(join(base, name, "model.onnx")).equals(typed), name).toBe(true);
  }
  opened.dispose();
  await expect(trained.export({ to: "tfjs", quantize: "int8" })).rejects.toMatchObject({ code: "ERR_OPTION" });
});

it("int8 takes its ranges from the run's own classes only", async () => {
  const other = join(base, "other");
  cpSync(images, other, { recursive: true });
  for (const split of ["train", "test"]) renameSync(join(other, split, "blue"), join(other, split, "green"));
  const opened = await openRun(folder, { data: other });
  const asked = opened.export({ to: "onnx:int8", folder: join(base, "foreign") });
  await expect(asked).rejects.toThrow("The data has other classes than the run");
  opened.dispose();
});

it("calibrate keeps a temperature with the run, which predictions use from then on, here and elsewhere", async () => {
  const copy = join(base, "calibrated");
  cpSync(folder, copy, { recursive: true });
  const run = await openRun(copy);
  const plain = byClass(await run.predict(files[0]!));
  const result = await run.calibrate();
  expect(result.after.loss).toBeLessThanOrEqual(result.before.loss);
  const scaled = byClass(await run.predict(files[0]!));
  const power = (p: number): number => p ** (1 / result.temperature);
  expect(scaled["red"]).toBeCloseTo(power(plain["red"]!) / (power(plain["red"]!) + power(plain["blue"]!)), 5);
  const again = await openRun(copy);
  expect(byClass(await again.predict(files[0]!))).toEqual(scaled);
});

it("after dispose says what to do", async () => {
  const run = await openRun(folder);
  const before = tf.memory().numTensors;
  run.dispose();
  run.dispose();
  expect(tf.memory().numTensors).toBe(before - trained.weights.size);
  await expect(run.predict(files[0]!)).rejects.toThrow(/was disposed of\. Open it again with openRun\./);
});
