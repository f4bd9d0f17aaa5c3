/** R24, R27 and R38 at length: what comes from outside is taken or refused in words, whatever it is. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadBackend, Trainer } from "../../core/index.js";
import { microConfig } from "../../core/testing/index.js";
import { createReport } from "../../report/observer.js";
import { createRunRecord } from "../../run/record.js";
import { survivesAnyConfig } from "../support/any-config.js";
import { survivesDamage } from "../support/damaged-archive.js";
import { survivesDamage as runSurvivesDamage } from "../support/damaged-run.js";
import { temporaryFolder } from "../support/mini-cifar.js";

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
