/** A step as one graph gives the bits of its operations, for every preset and every network. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { shapes } from "../../core/data/index.js";
import { adamw, loadBackend, type Plugin, sgd, type TrainerConfig } from "../../core/index.js";
import { models } from "../../core/models/index.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { gradientClipping, l2 } from "../../plugins/index.js";
import { presets } from "../../presets/index.js";
import { miniCifar100, temporaryFolder } from "../support/mini-cifar.js";

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
    const images = shapes({ classes: 4, size: 32, train: 40, test: 4 });
    const config = microConfig({
      data: images,
      model: model({}),
      epochs: 1,
      holdout: 0,
      optimizer: sgd({ nesterov: true }),
    });
    await mustBeEqual(config);
  },
  600_000,
);

it.each([24, 28])("maps of %i px, whose sizes are no powers of two", async (size) => {
  const images = shapes({ classes: 4, size, train: 60, test: 4 });
  await mustBeEqual(
    microConfig({
      data: images,
      model: models.resnet18({ width: 8, stem: "cifar" }),
      epochs: 1,
      holdout: 0,
      batchSize: 6,
    }),
  );
});

it.each(Object.entries(models))(
  "%s with frozen layers",
  async (_, model) => {
    const images = shapes({ classes: 4, size: 32, train: 48, test: 4 });
    // Trained for an epoch, so that norms have statistics, and frozen but for the head from then on.
    await mustBeEqual(microConfig({ data: images, model: model({}), plugins: [freezing()], epochs: 2, holdout: 0 }));
  },
  600_000,
);

it("an optimizer with decay, clipping and many parameters", async () => {
  const images = shapes({ classes: 4, size: 32, train: 48, test: 4 });
  const plugins = [gradientClipping({ maximum: 0.5 }), l2({ decay: 1e-3 })];
  const config = microConfig({ data: images, model: models["efficientnet-b0"]({}), plugins, epochs: 1, holdout: 0 });
  await mustBeEqual(config);
  await mustBeEqual({ ...config, optimizer: adamw({ weightDecay: 0 }), learningRate: 0.003 });
});

/** From the second epoch on only the last stage trains. */
function freezing(): Plugin {
  return {
    name: "freezing",
    options: {},
    apply: ({ hooks }) =>
      hooks.resolveParamGroups.tap((groups, { epoch }) => {
        const last = Math.max(...groups.map(({ depth }) => depth));
        return groups.map((group) => ({ ...group, trains: epoch === 0 || group.depth === last }));
      }),
  };
}
