/** What a run keeps for its report: enough to draw it again, and nothing that the run would notice. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadBackend, type Plugin, Trainer } from "../../core/index.js";
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

describe("what is kept", () => {
  it("is the command, the plan, counts of each split and pictures that are there", async () => {
    const folder = folderOf("kept");
    const trainer = new Trainer(microConfig({ epochs: 2 }), [
      createRunRecord().plugin,
      createReport({ command: "trainer --x" }),
    ]);
    const pictures: string[] = [];
    trainer.events.on("picture", ({ path }) => void pictures.push(path));
    const {
      summary: { validation },
    } = await trainer.fit({ folder });
    const kept = readKept(folder);
    expect(kept.command).toBe("trainer --x");
    expect(kept.plan).toContain("beforeBatch");
    const split = kept.splits["held out"]!;
    expect(split.counts.reduce((sum, count) => sum + count, 0)).toBe(validation!.count);
    expect(split.classes.length ** 2).toBe(split.counts.length);
    expect(split.worst.length).toBeGreaterThan(0);
    for (const { path } of [kept.augmented!, ...split.worst]) {
      expect(pictures).toContain(path);
      expect(readFileSync(join(folder, path)).subarray(1, 4).toString()).toBe("PNG");
    }
  });

  it("keeps the command that began the run, whatever goes on with it", async () => {
    const folder = folderOf("again");
    const fit = (command: string) =>
      new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport({ command })]).fit({ folder });
    await fit("trainer --first");
    await fit("trainer --second");
    expect(readKept(folder).command).toBe("trainer --first");
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

  it("goes on where nothing can be kept, and says so", async () => {
    const folder = folderOf("in the way");
    writeFileSync(join(folder, "report"), "a file where the folder should be");
    const warnings: string[] = [];
    const trainer = new Trainer(microConfig({ epochs: 1 }), [createRunRecord().plugin, createReport()]);
    trainer.events.on("warning", ({ message }) => void warnings.push(message));
    expect((await trainer.fit({ folder })).summary.stopReason).toBe("epochs");
    expect(warnings).toEqual([expect.stringMatching(/"report".*switched off/)]);
  });
});
