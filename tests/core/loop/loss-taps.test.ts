/** A loss that moves no weight, and one that a plugin made infinite: the first step says so, and who did it. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { type Layer, loadBackend, type Plugin, Trainer, type TrainerConfig } from "../../../core/index.js";
import type { Snapshot } from "../../../core/loop/snapshot.js";
import { append } from "../../../core/nn/layers.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";
import { differentialLr } from "../../../plugins/index.js";
import { fromCheckpoint, toCheckpoint } from "../../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../../run/checkpoints.js";

beforeAll(async () => void (await loadBackend()));

const tap = (
  name: string,
  change: (loss: tf.Scalar, step: { microBatch: number }) => tf.Scalar,
  pure = false,
): Plugin => ({
  name,
  options: {},
  apply: ({ hooks }) => hooks.afterLoss.tap({ pure }, change),
});
const constant = tap("constant", () => tf.scalar(1), true);
const readBack = tap("read-back", (loss) => tf.scalar(loss.dataSync()[0]!));
const nothing = tap("nothing", (loss) => tf.mul(loss, 0));
const doubled = tap("doubled", (loss) => tf.mul(loss, 2), true);
const zeroHead: Plugin = {
  name: "zero-head",
  options: {},
  apply({ hooks }) {
    hooks.onFitStart.tap(({ weights, replaceWeights }) => {
      const head = [...weights()].filter(([name]) => name.startsWith("fc."));
      replaceWeights(new Map(head.map(([name, value]) => [name, tf.zerosLike(value)])));
    });
  },
};
const failureOf = (config: Partial<TrainerConfig>): Promise<unknown> =>
  new Trainer(microConfig(config)).fit().then(
    () => "trained",
    (error) => error,
  );
/** A network of which the logits are new numbers. */
const cut: Layer = { kind: "cut", forward: (x) => tf.tensor(x.dataSync().slice(), x.shape) };
const withCut: Plugin = {
  name: "cut",
  options: {},
  apply: ({ hooks }) => hooks.buildNetwork.tap((network) => append(network, "cut", cut)),
};

describe("a loss that moves no weight ends the first step", () => {
  it.each<[string, Partial<TrainerConfig>, object]>([
    [
      "constant",
      { plugins: [doubled, constant, { ...doubled, name: "next" }] },
      { plugin: "constant", hook: "afterLoss" },
    ],
    ["read back", { plugins: [readBack, doubled] }, { plugin: "read-back", hook: "afterLoss" }],
    ["times nothing", { plugins: [doubled, nothing] }, { plugin: "nothing", hook: "afterLoss" }],
    [
      "an own loss",
      { loss: { name: "mine", options: {}, compute: () => tf.scalar(1) }, plugins: [doubled] },
      { message: expect.stringContaining('The loss "mine" does not depend on the logits.') },
    ],
    [
      "a layer",
      { plugins: [withCut] },
      { message: expect.stringContaining("The logits do not depend on the weights") },
    ],
  ])("%s", async (_, config, error) => {
    const found = await failureOf(config);
    expect(found).toMatchObject({ name: "TrainerError", ...error });
    expect((found as Error).message).toMatch(/^The first step cannot train: /);
  });

  it("says what to do", async () => {
    expect(await failureOf({ plugins: [readBack] })).toMatchObject({
      code: "ERR_PLUGIN",
      message:
        'The first step cannot train: no weight has a gradient. Plugin "read-back" returned a loss in hook "afterLoss" that does ' +
        "not depend on the one it received. Compute it from the values that come in, by operations of TensorFlow.js: a new " +
        "tf.scalar, or a number read with dataSync, has no gradient.",
    });
  });

  const later = tap("later", (loss, { microBatch }) => (microBatch > 0 ? tf.scalar(1) : loss));
  const noLoss = { name: "none", options: {}, compute: (logits: tf.Tensor) => tf.mul(tf.sum(logits), 0) };
  it.each<[string, Partial<TrainerConfig>]>([
    ["a later step", { plugins: [later] }],
    ["frozen stages", { plugins: [differentialLr({ freeze: "backbone" })] }],
    ["a head of zeros", { plugins: [zeroHead] }],
    ["a loss of 0", { loss: noLoss }],
  ])("but %s does not", async (_, config) => expect(await failureOf({ epochs: 1, ...config })).toBe("trained"));

  it("nor does the first step of a run that resumes", async () => {
    let checkpoint: Checkpoint | undefined;
    const places = { onResumePoint: (snapshot: Snapshot) => void (checkpoint = toCheckpoint(snapshot, 0)) };
    await fitWeights(microConfig({ maxSteps: 1, plugins: [{ ...later, name: "constant" }] }), places);
    await fitWeights(microConfig({ plugins: [constant] }), { from: () => fromCheckpoint(checkpoint!) });
  });
});

describe("a loss that is not finite names", () => {
  const infinite = tap("infinite", (loss) => tf.div(loss, 0));
  const nan = { name: "mine", options: {}, compute: (logits: tf.Tensor) => tf.mul(tf.sum(logits), Number.NaN) };
  it.each<[string, Partial<TrainerConfig>, string]>([
    [
      "the plugin that made it so",
      { plugins: [doubled, infinite, { ...doubled, name: "next" }] },
      'the loss that plugin "infinite" returned in afterLoss',
    ],
    ["the loss", { loss: nan, plugins: [doubled] }, 'the loss "mine"'],
  ])("%s", async (_, config, first) => {
    const found = (await failureOf({ plugins: [], ...config })) as { message: string; divergence?: { first: string } };
    expect(found.divergence?.first).toBe(first);
    expect(found.message).toContain(`The first tensor that is not finite: ${first}. `);
    expect(found.message).not.toContain("trainer replay"); // nothing is kept of such a run
  });

  it("and a later step how to inspect it", async () => {
    const late = tap("late", (loss, { microBatch }) => (microBatch === 2 ? tf.mul(loss, Number.NaN) : loss));
    expect(await failureOf({ plugins: [late] })).toMatchObject({
      message: expect.stringMatching(/To inspect it: trainer replay RUN --step 3$/),
    });
  });
});
