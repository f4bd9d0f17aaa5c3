import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Events, loadBackend, type Plugin, Trainer, type TrainerConfig } from "../../../core/index.js";
import type { Snapshot } from "../../../core/loop/snapshot.js";
import { microConfig } from "../../../core/testing/index.js";
import { gradCam, visualLog } from "../../../plugins/index.js";
import { openLog } from "../../../plugins/visual-log/file.js";
import { fromCheckpoint, toCheckpoint } from "../../../run/checkpoint-writer.js";
import { type Found, only, readVisualDl, visualDlFile } from "./read.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-visual-log-"));
beforeAll(async () => void (await loadBackend()));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const config = (options: Parameters<typeof visualLog>[0] = {}): TrainerConfig =>
  microConfig({
    epochs: 4,
    plugins: [gradCam({ every: 2, images: 2 }), visualLog({ every: 1, histograms: 2, ...options })],
  });
const folderOf = (name: string): string => {
  mkdirSync(join(base, name), { recursive: true });
  return join(base, name);
};
const tensorBoardFile = (folder: string): string => only(join(folder, "tensorboard"), /^events\.out/);

async function fit(
  folder: string,
  options = {},
  from?: () => Snapshot,
): Promise<{ steps: Events["step"][]; kept: (() => Snapshot)[] }> {
  const trainer = new Trainer(config(options));
  const steps: Events["step"][] = [];
  const kept: (() => Snapshot)[] = [];
  trainer.events.on("step", (step) => void steps.push(step));
  await trainer.fit({
    folder,
    from,
    onResumePoint: (snapshot, point) => {
      const checkpoint = toCheckpoint(snapshot, 0);
      if (point !== "stop") kept.push(() => fromCheckpoint(JSON.parse(JSON.stringify(checkpoint.meta)) && checkpoint));
    },
  });
  return { steps, kept };
}

describe("a run", () => {
  it("has its figures, images, histograms, curves, features, texts and hyperparameters", async () => {
    const folder = folderOf("whole");
    const { steps } = await fit(folder);
    const found = readVisualDl(folder);
    const losses = found.filter(({ tag }) => tag === "train/loss");
    expect(losses.map(({ step, value }) => [step, value])).toEqual(
      steps.map(({ step, loss }) => [step, Math.fround(loss)]),
    );
    const fields = new Map<number, Set<string>>();
    for (const { field, tag } of found) fields.set(field, (fields.get(field) ?? new Set()).add(tag));
    expect([...fields.get(4)!].sort()).toEqual(
      [
        "final/loss",
        "final/top1",
        "final/top5",
        "gradients/norm",
        "schedule/learning-rate",
        "speed/images-per-second",
        "test/loss",
        "test/top1",
        "test/top5",
        "train/loss",
        "train/top1",
        "validation/loss",
        "validation/top1",
        "validation/top5",
      ].filter((tag) => fields.get(4)!.has(tag)),
    );
    expect(fields.get(4)).toContain("validation/top1");
    expect(fields.get(4)).toContain("test/top1");
    expect([...fields.get(5)!].every((tag) => /^grad-cam(, final)?\//.test(tag))).toBe(true);
    expect([...fields.get(8)!].filter((tag) => tag.startsWith("weights/"))).not.toEqual([]);
    expect([...fields.get(8)!].filter((tag) => tag.startsWith("gradients/"))).not.toEqual([]);
    expect(fields.get(9)!.size).toBeGreaterThan(1);
    expect([...fields.get(12)!]).toEqual(["run/config", "run/plan"]);
    for (const field of [7, 10, 13]) expect(fields.has(field), `field ${field}`).toBe(true);
    // One tag is of one kind, and has each step once: else the boards show one of them.
    const places = found.map(({ tag, step }) => `${tag} ${step}`);
    expect(new Set(places).size).toBe(places.length);
    expect(readdirSync(join(folder, "tensorboard"))).toContain("projector_config.pbtxt");
  });

  it("writes one format alone, and only what is asked for", async () => {
    const folder = folderOf("little");
    await fit(folder, { formats: ["visualdl"], histograms: 0, prCurves: 0, embeddings: 0, every: 3 });
    expect(readdirSync(folder)).not.toContain("tensorboard");
    const found = readVisualDl(folder);
    expect(found.filter(({ field }) => [7, 8, 9].includes(field))).toEqual([]);
    expect(found.filter(({ tag }) => tag === "train/loss").map(({ step }) => step % 3)).toEqual([0, 0]);
  });

  it.each([
    ["of fewer epochs than lie between them", { epochs: 3 }, { weights: [6], gradients: [6] }],
    ["that steps end with an epoch", { epochs: 9, maxSteps: 8 }, { weights: [8], gradients: [8] }],
    ["that steps end within an epoch", { epochs: 9, maxSteps: 5 }, { weights: [5], gradients: [] }],
  ])("has histograms at the end of a run %s", async (name, more, expected) => {
    const folder = folderOf(name);
    await new Trainer(microConfig({ ...more, plugins: [visualLog({ formats: ["visualdl"] })] })).fit({ folder });
    const found = readVisualDl(folder).filter(({ field }) => field === 8);
    for (const [group, steps] of Object.entries(expected)) {
      const of = found.filter(({ tag }) => tag.startsWith(`${group}/`)).map(({ step }) => step);
      expect([...new Set(of)], group).toEqual(steps);
    }
  });

  it("is in TensorBoard's table of settings from its start, and with its end once it has one", async () => {
    const ends: Record<string, string | undefined> = {};
    for (const name of ["success", "failure", "interrupted"]) {
      const folder = folderOf(`ends in ${name}`);
      const stop = new AbortController();
      let begun = "";
      const ender: Plugin = {
        name: "ender",
        options: {},
        apply({ hooks }) {
          hooks.onStep.tap(({ step }) => {
            if (step !== 2) return;
            begun = readFileSync(tensorBoardFile(folder), "latin1");
            if (name === "failure") throw new Error("as told");
            if (name === "interrupted") stop.abort("told");
          });
        },
      };
      await new Trainer(config({ embeddings: 0 }), [ender]).fit({ folder, signal: stop.signal }).catch(() => {});
      expect(begun).toContain("_hparams_/session_start_info");
      expect(begun).not.toContain("_hparams_/session_end_info");
      // The first field of the end is its status.
      ends[name] = /session_end_info[^]*?\x22\x0b\x08(.)/.exec(readFileSync(tensorBoardFile(folder), "latin1"))?.[1];
    }
    expect(ends).toEqual({ success: "\x01", failure: "\x02", interrupted: undefined });
  });

  it("without a folder writes nothing", async () => {
    const trainer = new Trainer(config());
    const said: unknown[] = [];
    trainer.events.on("warning", (warning) => void said.push(warning));
    trainer.events.on("image", (image) => void said.push(image));
    await trainer.fit();
    expect(said).toEqual([]);
    expect(readdirSync(".").filter((name) => /^(tensorboard|visualdl|grad-cam)$/.test(name))).toEqual([]);
  });
});

describe("a run that goes on", () => {
  it("from any step repeats none, and leaves none out", async () => {
    const whole = folderOf("uninterrupted");
    const { kept } = await fit(whole);
    const expected = readVisualDl(whole);
    for (const [at, snapshot] of kept.entries()) {
      const folder = folderOf(`resumed-${at}`);
      await fit(folder); // what the process before had written, the end included
      const { name } = (snapshot().plugins.get("visual-log")!.values as { places: { visualdl: { name: string } } })
        .places.visualdl;
      const before = visualDlFile(folder);
      // The files of the run that is gone on with: the same records under the names that the checkpoint knows.
      writeFileSync(join(folder, "visualdl", name), readFileSync(visualDlFile(whole)));
      if (!before.endsWith(name)) rmSync(before);
      await fit(folder, {}, snapshot);
      const found = readVisualDl(folder);
      const comparable = (all: Found[]): Found[] =>
        all.filter(({ tag }) => tag !== "speed/images-per-second").map((each) => ({ ...each }));
      expect(comparable(found), `from point ${at}`).toEqual(comparable(expected));
    }
  });

  it("that came to no checkpoint begins new files", async () => {
    const folder = folderOf("again");
    mkdirSync(join(folder, "visualdl"));
    writeFileSync(join(folder, "visualdl", "vdlrecords.0000000001.log"), "of before");
    writeFileSync(join(folder, "visualdl", "notes.txt"), "the user's");
    await fit(folder);
    expect(visualDlFile(folder)).not.toMatch(/0000000001/);
    expect(readFileSync(join(folder, "visualdl", "notes.txt"), "utf8")).toBe("the user's");
  });
});

describe.each([{ skip: 3 }, { rollback: 1, factor: 0.5 }])("a step that diverges, $skip $rollback", (onDivergence) => {
  it("is in no file, and checkpoints after it know where the files are", async () => {
    const folder = folderOf(`diverges-${Object.keys(onDivergence)[0]}`);
    let failed = false;
    const spoiler: Plugin = {
      name: "spoiler",
      options: {},
      apply({ hooks }) {
        hooks.afterLoss.tap((loss, { microBatch }) => {
          if (failed || microBatch !== 5) return loss;
          failed = true;
          return tf.mul(loss, Number.NaN) as tf.Scalar;
        });
      },
    };
    const trainer = new Trainer({ ...config(), onDivergence }, [spoiler]);
    const places: number[] = [];
    trainer.events.on("warning", () => {});
    await trainer.fit({
      folder,
      onResumePoint: ({ plugins }, point) => {
        const { values } = plugins.get("visual-log")!;
        if (point === "epoch")
          places.push((values as { places: { visualdl: { bytes: number } } }).places.visualdl.bytes);
      },
    });
    expect(failed).toBe(true);
    const found = readVisualDl(folder);
    const said = found.map(({ tag, step }) => `${tag} ${step}`);
    expect(new Set(said).size).toBe(said.length);
    expect(new Set(places).size, "each epoch's place lies behind the last").toBe(4);
  });
});

describe("a file that cannot be written", () => {
  it("switches the log off with one warning, and the run goes on to the same weights", async () => {
    const folder = folderOf("failing");
    writeFileSync(join(folder, "visualdl"), "in the way of a folder");
    const trainer = new Trainer(config());
    const warnings: string[] = [];
    trainer.events.on("warning", ({ message }) => void warnings.push(message));
    const { summary } = await trainer.fit({ folder });
    expect(summary.stopReason).toBe("epochs");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/"visual-log".*switched off/);
  });

  it("holds whole records only", () => {
    const folder = folderOf("short");
    const format = { name: "log", head: Buffer.from("head"), pattern: /^log$/, whole: (bytes: Buffer) => bytes.length };
    const log = openLog(folder, format);
    log.append(Buffer.from("one"));
    expect(log.place).toEqual({ name: "log", bytes: 7 });
    log.close();
    expect(() => log.append(Buffer.from("two"))).toThrow();
    const again = openLog(folder, format, { name: "log", bytes: 4 });
    again.append(Buffer.from("three"));
    again.close();
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("headthree");
  });
});

it("TensorBoard's file has as many scalars as VisualDL's", async () => {
  const folder = folderOf("both");
  await fit(folder);
  const text = readFileSync(tensorBoardFile(folder)).toString("latin1");
  const losses = readVisualDl(folder).filter(({ tag }) => tag === "train/loss");
  expect(text.split("train/loss").length - 1).toBe(losses.length);
  expect(text).toContain("training accuracy, as augmented");
});
