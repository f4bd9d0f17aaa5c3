/** What a run stores for its report: enough to draw it again, and nothing that the run would notice. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { imageFolder } from "../../core/data/index.js";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { fitWeights, microConfig, weightsHash } from "../../core/testing/index.js";
import { createReport } from "../../report/observer.js";
import { readKept } from "../../report/read.js";
import { createRunRecord } from "../../run/record.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-keep-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
beforeAll(async () => void (await loadBackend()));

const folderOf = (name: string): string => {
  mkdirSync(join(base, name));
  return join(base, name);
};

const isPng = (folder: string, path: string): boolean =>
  readFileSync(join(folder, path)).subarray(1, 4).toString() === "PNG";

describe("what is stored", () => {
  it("is the command, the plan, counts of each split and images that are there", async () => {
    const folder = folderOf("kept");
    const trainer = new Trainer(microConfig({ epochs: 2 }), [
      createRunRecord().plugin,
      createReport({ command: "trainer --x" }),
    ]);
    const images: string[] = [];
    trainer.events.on("image", ({ path }) => void images.push(path));
    const { validation } = (await trainer.fit({ folder })).summary;
    const kept = readKept(folder).content!;
    expect(kept.command).toBe("trainer --x");
    expect(kept.plan).toContain("beforeBatch");
    const split = kept.splits["validation"]!;
    expect(split.counts.reduce((sum, count) => sum + count, 0)).toBe(validation!.count);
    expect(split.classes.length ** 2).toBe(split.counts.length);
    expect(split.worst.length).toBeGreaterThan(0);
    for (const { path } of [kept.augmented!, ...split.worst]) {
      expect(images).toContain(path);
      expect(isPng(folder, path), path).toBe(true);
    }
    for (const { lines, correct } of split.worst) {
      expect(lines).toEqual([
        expect.stringMatching(/^predicted .+ \d+\.\d %$/),
        expect.stringMatching(correct ? /^correct$/ : /^true .+ \d+\.\d %$/),
        expect.stringMatching(/#\d+$/),
      ]);
    }
    const { height, width } = await sharp(readFileSync(join(folder, kept.augmented!.path))).metadata();
    expect(width).toBe(kept.augmented!.columns * height!);
  });

  it("has worst images of the first and the last of many short epochs, and says whose they are in between", async () => {
    const folder = folderOf("short epochs");
    const trainer = new Trainer(microConfig({ epochs: 8 }), [createRunRecord().plugin, createReport()]);
    const drawn = new Set<number>();
    const between: unknown[] = [];
    trainer.events.on("image", ({ tag, step }) => void (tag.startsWith("worst, validation") && drawn.add(step)));
    let clock = 0; // by which drawing takes time, and nothing else does
    trainer.events.on("image", () => void (clock += 1000));
    const now = vi.spyOn(performance, "now").mockImplementation(() => clock);
    onTestFinished(() => now.mockRestore());
    trainer.events.on("epoch:end", ({ epoch }) => {
      if (epoch === 6) between.push(readKept(folder).content!.splits["validation"]);
    });
    const { steps } = (await trainer.fit({ folder })).summary;
    expect([...drawn]).toEqual([steps / 8, steps]);
    const [{ step, worstStep, worst }] = between as [{ step: number; worstStep: number; worst: unknown[] }];
    expect(worst.length).toBeGreaterThan(0);
    expect([step > worstStep, worstStep]).toEqual([true, steps / 8]);
    const last = readKept(folder).content!.splits["validation"]!;
    expect([last.step, last.worstStep]).toEqual([steps, steps]);
  });

  it("shows an image from its own file larger than the network sees it, under its path in the data", async () => {
    const data = join(base, "photos");
    for (let at = 0; at < 24; at++) {
      const name = at % 2 === 0 ? "light" : "dark";
      mkdirSync(join(data, "train", name), { recursive: true });
      const background = at % 2 === 0 ? "#eeeeee" : "#222222";
      // Wider than high, and one smaller than the page's tiles.
      const size = at === 1 ? { width: 130, height: 100 } : { width: 400, height: 300 };
      const image = sharp({ create: { ...size, channels: 3, background } });
      await image.png().toFile(join(data, "train", name, `${at}.png`));
    }
    const folder = folderOf("of files");
    const config = microConfig({ epochs: 1, data: imageFolder({ path: data, size: 16 }), holdout: 0.5 });
    const paths: string[] = [];
    const trainer = new Trainer(config, [createRunRecord().plugin, createReport()]);
    trainer.events.on("image", ({ path }) => void paths.push(path));
    await trainer.fit({ folder });
    const { worst } = readKept(folder).content!.splits["validation"]!;
    const sides = new Set<number>();
    for (const { path, lines } of worst) {
      expect(lines.at(-1)).toMatch(/^train\/(light|dark)\/\d+\.png$/);
      const { format, width, height } = await sharp(readFileSync(join(folder, path))).metadata();
      expect([format, width]).toEqual(["jpeg", 2 * height!]);
      const small = lines.at(-1) === "train/dark/1.png";
      expect(height, lines.at(-1)).toBe(small ? 100 : 256);
      sides.add(height!);
    }
    expect(sides).toContain(256);
    // Boards get the network's pixels as PNGs.
    expect(paths.length).toBeGreaterThanOrEqual(worst.length);
    for (const path of paths) expect(isPng(folder, path), path).toBe(true);
    expect(JSON.stringify(readKept(folder).content!.splits)).not.toContain(base);
  });

  it("falls back to the network's pixels where a file is gone", async () => {
    const folder = folderOf("fallback");
    const data = makePart(microConfig().data);
    const gone = {
      ...data,
      load: async (context: object) => {
        const loaded = await data.load(context);
        const file = (index: number) => ({ path: join(base, "gone.png"), name: `photos/${index}.png` });
        return { ...loaded, train: { ...loaded.train, file } };
      },
    };
    const config = microConfig({ epochs: 1, data: gone });
    await new Trainer(config, [createRunRecord().plugin, createReport()]).fit({ folder });
    const { worst } = readKept(folder).content!.splits["validation"]!;
    expect(worst.length).toBeGreaterThan(0);
    for (const { path, lines } of worst) {
      expect(isPng(folder, path)).toBe(true);
      expect(lines.at(-1)).toMatch(/^photos\/\d+\.png$/);
    }
  });

  it("is written again within a long epoch, with the last checkpoint", async () => {
    const folder = folderOf("long epoch");
    const { now } = performance;
    let later = 0;
    const spy = vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + later);
    const pages: { done: number; checkpoint?: number }[] = [];
    const trainer = new Trainer(microConfig({ epochs: 1, batchSize: 2 }), [createRunRecord().plugin, createReport()]);
    trainer.events.on("step", ({ step }) => {
      if (step === 1) trainer.events.emit("checkpoint:saved", { step, path: "x", bytes: 1 });
      const html = readFileSync(join(folder, "report.html"), "utf8");
      pages.push(JSON.parse(/id="data">(.*)<\/script>/.exec(html)![1]!).live);
      later += 60_000; // each step takes a minute
    });
    try {
      await trainer.fit({ folder });
    } finally {
      spy.mockRestore();
    }
    expect(pages.at(-1)!.done).toBeGreaterThan(pages[0]!.done);
    expect(pages.at(-1)!.checkpoint).toBe(1);
  });

  it("is the command that began the run, whatever resumes it", async () => {
    const folder = folderOf("again");
    const fit = (command: string) =>
      new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport({ command })]).fit({ folder });
    await fit("trainer --first");
    await fit("trainer --second");
    expect(readKept(folder).content!.command).toBe("trainer --first");
  });

  it("begins anew where what was written before is damaged, with a warning", async () => {
    const folder = folderOf("damaged");
    const warnings: string[] = [];
    const fit = (command: string) => {
      const trainer = new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport({ command })]);
      trainer.events.on("warning", ({ message }) => void warnings.push(message));
      return trainer.fit({ folder });
    };
    await fit("trainer --first");
    const file = join(folder, "report", "kept.json");
    writeFileSync(file, readFileSync(file, "utf8").replace("--first", "--other"));
    await fit("trainer --second");
    expect(readKept(folder).content!.command).toBe("trainer --second");
    expect(warnings).toEqual([expect.stringMatching(/kept\.json is damaged, .* It is written anew\.$/)]);
  });

  it("is nothing for a run without a folder", async () => {
    const warnings: string[] = []; // an observer that stumbles is switched off with one
    const trainer = new Trainer(microConfig({ epochs: 1 }), [createReport()]);
    trainer.events.on("warning", ({ message }) => void warnings.push(message));
    expect((await trainer.fit()).summary.epochs).toBe(1);
    expect(warnings).toEqual([]);
  });
});

describe("the run", () => {
  it("of a run whose schedule fails leaves nothing, and is not blamed", async () => {
    const folder = folderOf("bad schedule");
    const bad: Plugin = {
      name: "bad",
      options: {},
      apply: ({ hooks }) =>
        hooks.resolveLearningRate.tap(() => {
          throw new Error("boom");
        }),
    };
    const trainer = new Trainer(microConfig({ plugins: [bad] }), [
      createRunRecord().plugin,
      createReport({ command: "" }),
    ]);
    await expect(trainer.fit({ folder })).rejects.toThrow(/^Plugin "bad" failed in hook "resolveLearningRate": boom$/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("that failed before its first step leaves nothing", async () => {
    const folder = folderOf("failed");
    const thrower: Plugin = {
      name: "thrower",
      options: {},
      apply: ({ hooks }) =>
        hooks.beforeBatch.tap(() => {
          throw new Error("as told");
        }),
    };
    await expect(
      new Trainer(microConfig(), [createRunRecord().plugin, createReport(), thrower]).fit({ folder }),
    ).rejects.toThrow(/as told/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("keeps every bit of its weights", async () => {
    const { hash } = await fitWeights(microConfig({ epochs: 3 }));
    let watched: string | undefined;
    const probe: Plugin = {
      name: "probe",
      options: {},
      apply({ hooks }) {
        let weights: (() => Parameters<typeof weightsHash>[0]) | undefined;
        hooks.onFitStart.tap((run) => void (weights = run.weights));
        hooks.onFitEnd.tap(() => void (watched = weightsHash(weights!())));
      },
    };
    await new Trainer(microConfig({ epochs: 3 }), [createRunRecord().plugin, createReport(), probe]).fit({
      folder: folderOf("watched"),
    });
    expect(watched).toBe(hash);
  });

  it("continues where nothing can be stored, and says so", async () => {
    const folder = folderOf("in the way");
    writeFileSync(join(folder, "report"), "a file where the folder should be");
    const warnings: string[] = [];
    const trainer = new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport()]);
    trainer.events.on("warning", ({ message }) => void warnings.push(message));
    expect((await trainer.fit({ folder })).summary.stopReason).toBe("epochs");
    expect(warnings).toEqual([expect.stringMatching(/"report".*switched off/)]);
  });
});
