/**
 * Each preset: what it is made of, in a snapshot that a change of the recipe has to change too, and two real
 * steps.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { configRecord, Trainer } from "../../core/index.js";
import { makePlan, type Plan } from "../../core/loop/plan.js";
import { presets } from "../../presets/index.js";
import { miniCifar100, temporaryFolder } from "../core/data/mini-cifar.js";

const data = join(temporaryFolder(), "cifar");
beforeAll(() => {
  mkdirSync(data);
  for (const [name, bytes] of Object.entries(miniCifar100())) writeFileSync(join(data, name), bytes);
});

type Name = keyof typeof presets;
const places: Record<Name, string | undefined> = {
  quickstart: undefined,
  "cifar100-small": data,
  "cifar100-baseline": data,
};

const planOf = async (name: Name): Promise<Plan> => {
  const trainer = new Trainer(presets[name].create({ data: places[name] }));
  return makePlan(trainer, await trainer.prepare());
};
/** What does not depend on the size of the data. */
const essence = ({
  parameters,
  multiplyAdds,
  inputSize,
  batchSize,
  microBatchesPerStep,
  epochs,
  taps,
  notes,
}: Plan) => ({
  figures:
    `${parameters} parameters, ${multiplyAdds} multiply-adds at ${inputSize} px, ` +
    `${microBatchesPerStep} × ${batchSize}, ${epochs} epochs`,
  taps: taps.map(({ hook, plugin, stage }) => `${hook}: ${plugin}${stage === "normal" ? "" : ` (${stage})`}`),
  notes,
});

describe.each(Object.keys(presets) as Name[])("%s", (name) => {
  it("names its run after itself and takes its options", () => {
    const config = presets[name].create({ batchSize: 3 });
    expect(config).toMatchObject({ name, batchSize: 3 });
    if (places[name] !== undefined) {
      expect(presets[name].create({ data: "here" }).data.options.path).toMatch(/\/here$/);
      expect(config.data.options, "downloaded where no place is given").toMatchObject({ download: true });
    }
  });

  it("is the recipe that it was", async () => {
    const { data: _, ...recipe } = configRecord(new Trainer(presets[name].create()).config);
    expect({ ...recipe, plan: essence(await planOf(name)) }).toMatchSnapshot();
  });

  it("trains", async () => {
    const config = {
      ...presets[name].create({ data: places[name], batchSize: 4 }),
      limitTrain: 20,
      limitTest: 4,
      holdout: 0,
      maxSteps: 2,
    };
    // Early stopping and the like watch what this run leaves out.
    const summary = await new Trainer(config).fit();
    expect(summary).toMatchObject({ preset: name, steps: 2, stopReason: "max steps" });
    expect(summary.test!.loss).toBeGreaterThan(0);
  });
});
