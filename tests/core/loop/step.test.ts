/** One micro-batch: what a failure leaves behind, what freezing does, which bits a step is a function of. */

import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { eager } from "../../../core/backend/graph/capture.js";
import type { RawBatch } from "../../../core/data/loader.js";
import { alone } from "../../../core/group/group.js";
import { adamw, type Hooks, loadBackend, losses, ops, type Plugin, sgd } from "../../../core/index.js";
import { createHooks } from "../../../core/loop/hook-set.js";
import { defaultGroups } from "../../../core/loop/session.js";
import { initialState, type StepContext, type TrainState } from "../../../core/loop/state.js";
import { runStep } from "../../../core/loop/step.js";
import { initialWeights, type Layer, namedParameters } from "../../../core/nn/layer.js";
import { append } from "../../../core/nn/layers.js";
import { updateRules } from "../../../core/nn/optimizers.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";
import { fitWeights, microConfig, microNet, progressAt, weightsHash } from "../../../core/testing/index.js";
import { updateOnce } from "../../support/update-once.js";

beforeAll(async () => void (await loadBackend()));

function raw(size: number, change: (images: Float32Array) => void = () => undefined): RawBatch {
  const random = stream(1, "images", size);
  const images = Float32Array.from({ length: size * 8 * 8 * 3 }, random.normal);
  change(images);
  const indices = Int32Array.from({ length: size }, (_, row) => row);
  return {
    images,
    labels: Int32Array.from({ length: size }, (_, row) => row % 4),
    indices,
    size,
    whole: { indices, from: 0 },
    share: 1,
    epoch: 0,
    batchInEpoch: 0,
    batchesInEpoch: 2,
  };
}

function prepared(
  tapping: (hooks: Hooks) => void = () => undefined,
  buildHead = (head: Layer): Layer => head,
): {
  context: StepContext;
  state: TrainState;
} {
  const hooks = createHooks({ seed: 1 });
  tapping(hooks.for("tapping", false));
  const model = makePart(microNet()).build({ inputSize: 32, classes: 4, buildBlock: (branch) => branch, buildHead });
  const parameters = namedParameters(model.layer);
  const optimizer = makePart(sgd({ momentum: 0.9 }));
  return {
    context: {
      model,
      classes: 4,
      height: 8,
      width: 8,
      inputSize: 8,
      hooks: hooks.call,
      rules: updateRules(model, optimizer),
      loss: makePart(losses.crossEntropy()),
      learningRate: 0.1,
      seed: 1,
      groups: defaultGroups(model, parameters),
      isPure: hooks.isPure,
      afterStepTaps: hooks.afterStepTaps(),
      afterLossTaps: hooks.afterLossTaps(),
      capture: eager,
      group: alone,
      images: { split: { describe: (index) => `image ${index}` }, indices: [5, 6, 7, 8] },
    },
    state: initialState(initialWeights(model.layer, 1), updateRules(model, optimizer)),
  };
}

/** A layer whose buffer is as it was after each step, and the very tensor it was. */
const unmoved: Layer = {
  kind: "unmoved",
  buffers: { center: { shape: [], initial: 0.5 } },
  forward(x, pass) {
    pass.setBuffer("center", pass.value("center"));
    pass.setBuffer("center", pass.value("center"));
    return tf.sub(x, pass.value("center"));
  },
};

const fingerprint = ({ weights, slots, counts }: TrainState): string =>
  JSON.stringify([weightsHash(weights), weightsHash(slots), [...counts]]);
const at = { microBatch: 0, progress: progressAt() };
const dispose = ({ weights, slots }: TrainState): void => tf.dispose([...weights.values(), ...slots.values()]);

it("a buffer that is handed over as it is stays", () => {
  const { context, state } = prepared(
    ({ afterBackward }) =>
      afterBackward.tap((gradients, { weights }) => (weights.get("head.unmoved.center")!.dataSync(), gradients)),
    (head) => append(head, "unmoved", unmoved),
  );
  for (const microBatch of [0, 1]) runStep(context, state, raw(4), { ...at, microBatch });
  expect([...state.weights.get("head.unmoved.center")!.dataSync()]).toEqual([0.5]);
  dispose(state);
});

describe("a step that fails leaves state and memory as they were", () => {
  const failing = (): never => {
    throw new Error("on purpose");
  };
  const infinite = (value: tf.Tensor): tf.Tensor => tf.mul(value, Infinity);
  const cases: [string, string, (hooks: Hooks) => void, RawBatch?][] = [
    ["an image that is not a number", "ERR_DIVERGED", () => undefined, raw(4, (images) => (images[5] = NaN))],
    [
      "a loss that is not finite",
      "ERR_DIVERGED",
      ({ afterLoss }) => afterLoss.tap((loss) => infinite(loss) as tf.Scalar),
    ],
    [
      "a gradient that is not finite",
      "ERR_DIVERGED",
      ({ beforeStep }) =>
        beforeStep.tap((gradients) => new Map([...gradients].map(([name, value]) => [name, infinite(value)]))),
    ],
    ["beforeBatch throws", "ERR_PLUGIN", ({ beforeBatch }) => beforeBatch.tap(failing)],
    ["afterLoss throws", "ERR_PLUGIN", ({ afterLoss }) => afterLoss.tap(failing)],
    ["afterBackward throws", "ERR_PLUGIN", ({ afterBackward }) => afterBackward.tap(failing)],
    ["shouldStep throws", "ERR_PLUGIN", ({ shouldStep }) => shouldStep.tap(failing)],
    ["resolveLearningRate throws", "ERR_PLUGIN", ({ resolveLearningRate }) => resolveLearningRate.tap(failing)],
    ["beforeStep throws", "ERR_PLUGIN", ({ beforeStep }) => beforeStep.tap(failing)],
  ];
  it.each(cases)("%s", (_, code, tapping, batch = raw(4)) => {
    const { context, state } = prepared(tapping);
    const before = fingerprint(state);
    const { numTensors, numBytes } = tf.memory();
    expect(() => runStep(context, state, batch, at)).toThrow(expect.objectContaining({ code }));
    expect(fingerprint(state)).toBe(before);
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
    // And the same state goes on as if nothing had been: against one that never failed.
    const { context: sound, state: untouched } = prepared();
    runStep(sound, state, raw(4), at);
    runStep(sound, untouched, raw(4), at);
    expect(fingerprint(state)).toBe(fingerprint(untouched));
    dispose(state);
    dispose(untouched);
  });

  it("says where and what to do", () => {
    const { context, state } = prepared();
    const progress = progressAt({ epoch: 2, step: 41 });
    expect(() =>
      runStep(
        context,
        state,
        raw(4, (images) => images.fill(NaN)),
        { microBatch: 41, progress },
      ),
    ).toThrow(
      /^The loss is NaN in epoch 3, step 42\. The step was not applied\. .*: the images\. The learning rate was 0\.1; images, with their indices in the training data: image 5 \(5\), image 6 \(6\), image 7 \(7\), image 8 \(8\)\. Lower the learning rate/,
    );
    dispose(state);
  });
});

describe("a micro-batch", () => {
  it("that is held back moves running statistics and nothing else", () => {
    const { context, state } = prepared(({ shouldStep }) => shouldStep.tap(() => false));
    const before = new Map([...state.weights].map(([name, value]) => [name, weightsHash(new Map([[name, value]]))]));
    expect(runStep(context, state, raw(4), at).stepped).toBeUndefined();
    const moved = [...state.weights].filter(
      ([name, value]) => weightsHash(new Map([[name, value]])) !== before.get(name),
    );
    expect(moved.map(([name]) => name)).toEqual(["block.bn.running_mean", "block.bn.running_var"]);
    expect(state.counts.size).toBe(0);
    dispose(state);
  });

  it("trains only what trains: frozen parameters, their slots and their norm's statistics stay", () => {
    const { context, state } = prepared();
    const groups = context.groups.map((group) => (group.depth === 1 ? { ...group, trains: false } : group));
    const frozen = () =>
      weightsHash(new Map([...state.weights, ...state.slots].filter(([name]) => name.startsWith("block."))));
    const before = frozen();
    const whole = fingerprint(state);
    runStep({ ...context, groups }, state, raw(4), at);
    expect(frozen()).toBe(before);
    expect(fingerprint(state)).not.toBe(whole);
    expect([...state.counts.keys()].sort()).toEqual(["fc.bias", "fc.weight", "stem.weight"]);
    dispose(state);
  });

  it.each([makePart(sgd({ momentum: 0.9 })), makePart(adamw({ weightDecay: 0.1 }))])(
    "gives each parameter its own state while others freeze and thaw: $name",
    (optimizer) => {
      let seen: ReadonlyMap<string, number[]> = new Map();
      const { context, state } = prepared(({ beforeStep }) =>
        beforeStep.tap((gradients) => {
          seen = new Map([...gradients].map(([name, value]) => [name, [...value.dataSync()]]));
          return gradients;
        }),
      );
      state.slots.forEach((slot) => slot.dispose());
      state.slots.clear();
      const names = context.groups.flatMap(({ parameters }) => parameters);
      const rules = updateRules(context.model, optimizer);
      for (const [name, slot] of initialState(state.weights, rules).slots) state.slots.set(name, slot);

      // The same by hand: a list of numbers a parameter, moved where it has a gradient and left alone where not.
      const own = new Map(
        names.map((name) => {
          const value = [...state.weights.get(name)!.dataSync()];
          return [name, { value, slots: optimizer.slots.map(() => value.map(() => 0)), count: 0 }];
        }),
      );
      const decaying = new Set(
        context.groups.filter(({ decayFactor }) => decayFactor > 0).flatMap(({ parameters }) => parameters),
      );
      const frozen = [[], [1], [1], [0], []]; // depths, step by step
      for (const [step, depths] of frozen.entries()) {
        const groups = context.groups.map((group) => ({
          ...group,
          trains: !(depths as number[]).includes(group.depth),
        }));
        const progress = progressAt({ step });
        runStep({ ...context, rules, groups }, state, raw(4), { microBatch: step, progress });
        for (const [name, gradient] of seen) {
          const mine = own.get(name)!;
          tf.tidy(() => {
            const [value, slots] = updateOnce(
              optimizer,
              tf.tensor1d(mine.value),
              tf.tensor1d(gradient),
              mine.slots.map((slot) => tf.tensor1d(slot)),
              { rate: 0.1, count: ++mine.count, decayFactor: Number(decaying.has(name)) },
            );
            mine.value = [...value.dataSync()];
            mine.slots = slots.map((slot) => [...slot.dataSync()]);
          });
        }
      }
      expect([...own.values()].map(({ count }) => count)).toContain(3);
      expect([...own.values()].map(({ count }) => count)).toContain(4);
      for (const [name, { value, count }] of own) {
        expect(state.counts.get(name), name).toBe(count);
        state.weights
          .get(name)!
          .dataSync()
          .forEach((found, place) => expect(found, name).toBeCloseTo(value[place]!, 6));
      }
      dispose(state);
    },
  );

  it("hands taps values as they come to be", () => {
    const seen: Record<string, string[]> = {};
    const { context, state } = prepared((hooks) => {
      const note = (hook: string, step: object): void => {
        const late = ["batch", "logits", "loss", "learningRate", "gradientNorm"];
        seen[hook] = late.filter((key) => (step as Record<string, unknown>)[key] !== undefined);
      };
      hooks.beforeBatch.tap((value, step) => (note("beforeBatch", step), value));
      hooks.afterLoss.tap((value, step) => (note("afterLoss", step), value));
      hooks.afterBackward.tap((value, step) => (note("afterBackward", step), value));
      hooks.shouldStep.tap((step) => (note("shouldStep", step), undefined));
      hooks.beforeStep.tap((value, step) => (note("beforeStep", step), value));
      hooks.onStep.tap((step) => note("onStep", step));
    });
    runStep(context, state, raw(4), at);
    expect(seen).toEqual({
      beforeBatch: [],
      afterLoss: ["batch", "logits"],
      afterBackward: ["batch", "logits", "loss"],
      shouldStep: ["batch", "logits", "loss"],
      beforeStep: ["batch", "logits", "loss", "learningRate"],
      onStep: ["batch", "logits", "loss", "learningRate", "gradientNorm"],
    });
    dispose(state);
  });

  it("adds what afterLoss adds to the loss and to the gradient", () => {
    /** The loss, and the gradient of the classifier's kernel. */
    const observed = (penalised: boolean): [number, tf.Tensor, TrainState] => {
      let gradient: tf.Tensor | undefined;
      const { context, state } = prepared((hooks) => {
        if (penalised) {
          hooks.afterLoss.tap((loss, { weights }) => {
            const kernel = weights.get("fc.weight")!;
            return tf.add(loss, tf.mul(tf.sum(tf.square(kernel)), 0.5)) as tf.Scalar;
          });
        }
        hooks.beforeStep.tap((gradients) => {
          gradient = tf.keep(gradients.get("fc.weight")!.clone());
          return gradients;
        });
      });
      return [runStep(context, state, raw(4), at).loss, gradient!, state];
    };
    const initial = prepared().state;
    const kernel = initial.weights.get("fc.weight")!;
    const [plainLoss, plainGradient, plainState] = observed(false);
    const [loss, gradient, state] = observed(true);
    tf.tidy(() => {
      const squares = (tensor: tf.Tensor): number => ops.squaredNorm([tensor]).dataSync()[0]!;
      expect(loss - plainLoss).toBeCloseTo(0.5 * squares(kernel), 4);
      const difference = tf.sub(tf.sub(gradient, plainGradient), kernel);
      expect(Math.sqrt(squares(difference))).toBeLessThan(1e-5);
    });
    tf.dispose([plainGradient, gradient]);
    [initial, plainState, state].forEach(dispose);
  });
});

describe("accumulation", () => {
  it("of unequal micro-batches needs the weights: without them the sum is another gradient", async () => {
    const config = microConfig({ model: microNet({ norm: false }), epochs: 1, batchSize: 8 });
    // The mean of means, as others have it, over batches of 8 and 6.
    const unweighted: Plugin = {
      name: "unweighted",
      options: {},
      apply({ hooks }) {
        let kept: ReadonlyMap<string, tf.Tensor> | undefined;
        hooks.afterBackward.tap((gradients, { batchInEpoch }) => {
          if (batchInEpoch === 0) {
            kept = new Map([...gradients].map(([name, value]) => [name, tf.keep(value.clone())]));
            return gradients;
          }
          const mean = new Map(
            [...gradients].map(([name, value]) => [name, tf.div(tf.add(value, kept!.get(name)!), 2)]),
          );
          tf.dispose([...kept!.values()]);
          return mean;
        });
        hooks.shouldStep.tap(({ batchInEpoch }) => batchInEpoch === 1);
      },
    };
    const whole = await fitWeights({ ...config, batchSize: 14 });
    const halves = await fitWeights({ ...config, plugins: [unweighted] });
    const apart = Object.entries(whole.weights).map(([name, values]) =>
      Math.max(...values.map((value, place) => Math.abs(value - halves.weights[name]![place]!))),
    );
    expect(Math.max(...apart)).toBeGreaterThan(1e-5);
  });
});
