/** Two real steps of the presets whose step takes seconds; the others take theirs in tests/presets. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { loadBackend, Trainer } from "../../core/index.js";
import { presets } from "../../presets/index.js";
import { miniCifar100, temporaryFolder } from "../support/mini-cifar.js";

const data = join(temporaryFolder(), "cifar");

beforeAll(async () => {
  await loadBackend();
  mkdirSync(data);
  for (const [name, bytes] of Object.entries(miniCifar100())) writeFileSync(join(data, name), bytes);
});

it.each(["cifar100-strong", "cifar100-augmented"] as const)("%s trains", async (name) => {
  const preset = presets[name].create({ data, batchSize: 4 });
  const config = { ...preset, limitTrain: 16, limitTest: 4, holdout: 0.25, maxSteps: 2 };
  const { summary } = await new Trainer(config).fit();
  expect(summary).toMatchObject({ preset: name, steps: 2, stopReason: "max steps" });
  expect(summary.test!.loss).toBeGreaterThan(0);
});
