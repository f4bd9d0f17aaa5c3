/** A step as one graph gives the bits of its operations, for every preset and every network. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { loadBackend, sgd, type TrainerConfig } from "../../core/index.js";
import { shapes } from "../../core/data/index.js";
import { models } from "../../core/models/index.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { presets } from "../../presets/index.js";
import { miniCifar100, temporaryFolder } from "../core/data/mini-cifar.js";

const data = join(temporaryFolder(), "cifar");
beforeAll(async () => {
  await loadBackend({ name: "tensorflow" });
  mkdirSync(data);
  for (const [name, bytes] of Object.entries(miniCifar100())) writeFileSync(join(data, name), bytes);
});

async function mustBeEqual(config: TrainerConfig): Promise<void> {
  const run = async (capture: boolean): Promise<{ hash: string; told: string[] }> => {
    const told: string[] = [];
    const { hash } = await fitWeights(
      { ...config, capture },
      { before: ({ events }) => events.on("warning", ({ message }) => void told.push(message)) },
    );
    return { hash, told };
  };
  const [whole, single] = [await run(true), await run(false)];
  expect(whole.hash).toBe(single.hash);
  expect(whole.told.filter((line) => line.includes("one graph"))).toEqual([]);
}

// "transfer" is the network of "cifar100-native" with other plugins, all of which the contract suite runs.
it.each(Object.keys(presets).filter((name) => name !== "transfer") as (keyof typeof presets)[])(
  "%s",
  async (name) => {
    const config = presets[name].create({ ...(name === "quickstart" ? {} : { data }), batchSize: 2 });
    // Four micro-batches: two are recorded, two are graphs.
    await mustBeEqual({ ...config, limitTrain: 12, limitTest: 2, holdout: 0.34, epochs: 1 });
  },
  600_000,
);

it.each(Object.entries(models))(
  "%s",
  async (_, model) => {
    const pictures = shapes({ classes: 4, size: 32, train: 40, test: 4 });
    const config = microConfig({ data: pictures, model: model({}), epochs: 1, holdout: 0, optimizer: sgd({ nesterov: true }) });
    await mustBeEqual(config);
  },
  600_000,
);
