/** R24, R27 and R38 at length: what comes from outside is taken or refused in words, whatever it is. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadBackend, Trainer } from "../../core/index.js";
import { createReport } from "../../core/report/keep.js";
import { createRunRecord } from "../../core/run/record.js";
import { microConfig } from "../../core/testing/index.js";
import { survivesAnyConfig } from "../core/config/any-config.js";
import { survivesDamage } from "../core/data/damaged-archive.js";
import { temporaryFolder } from "../core/data/mini-cifar.js";
import { survivesDamage as runSurvivesDamage } from "../core/report/damaged-run.js";

const folder = temporaryFolder();

it("20,000 archives with damaged headers", () =>
  survivesDamage(join(folder, "mutated"), ["train.bin", "test.bin", "names.txt"], 20_000));

it("50,000 configs, none of which takes a second", () => {
  const slowest = survivesAnyConfig(50_000);
  expect(slowest).toBeLessThan(1000);
});

it("50,000 damaged files of a run, each of which still gives its page", async () => {
  await loadBackend();
  const whole = join(folder, "whole");
  mkdirSync(whole);
  await new Trainer(microConfig({ epochs: 3 }), [createRunRecord().plugin, createReport()]).fit({ folder: whole });
  cpSync(whole, join(folder, "changed"), { recursive: true });
  runSurvivesDamage(whole, join(folder, "changed"), 50_000);
});
