/** `afterStep`: weights after the update, with tensors of the tap's own, inside the graph. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { shapes } from "../../../core/data/index.js";
import { type Hooks, loadBackend, type Plugin, Trainer } from "../../../core/index.js";
import type { Snapshot } from "../../../core/loop/snapshot.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";
import { fromCheckpoint, toCheckpoint } from "../../../run/checkpoint-writer.js";
import type { Checkpoint } from "../../../run/checkpoints.js";

beforeAll(async () => void (await loadBackend()));

const data = shapes({ classes: 4, size: 8, train: 66, test: 6 });
const tapping = (tap: (hooks: Hooks) => void): Plugin => ({
  name: "tapping",
  options: {},
  apply: ({ hooks }) => void tap(hooks),
});

/** Adds to each weight a share of how far it moved in all steps before: state, a number, and every other step. */
const drift = tapping(({ afterStep }) =>
  afterStep.tap(
    {
      state: (weights) => new Map([...weights].map(([name, value]) => [name, tf.zerosLike(value)])),
      numbers: ({ step }) => (step % 2 === 0 ? { share: 0.001 * step } : undefined),
    },
    (weights, { updated, state, numbers, setState }) => {
      const next = new Map(weights);
      for (const name of updated) {
        setState(name, tf.add(state.get(name)!, weights.get(name)!));
        next.set(name, tf.add(weights.get(name)!, tf.mul(state.get(name)!, numbers.share!)));
      }
      return next;
    },
  ),
);

describe("a tap with state and numbers", () => {
  it("gives the same bits as a graph and operation by operation, and no warning", async () => {
    const warnings: string[] = [];
    const run = (capture: boolean) =>
      fitWeights(microConfig({ data, epochs: 3, capture, plugins: [drift] }), {
        before: ({ events }) => events.on("warning", ({ message }) => void warnings.push(message)),
      });
    const [graph, eager] = [await run(true), await run(false)];
    expect(graph.hash).toBe(eager.hash);
    expect(graph.hash).not.toBe((await fitWeights(microConfig({ data, epochs: 3 }))).hash);
    expect(warnings).toEqual([]);
  });

  it("resumes from every point to the same bits, rollback included", async () => {
    for (const onDivergence of ["halt", { rollback: 1 }] as const) {
      const config = microConfig({ onDivergence, plugins: [drift] });
      const places: Checkpoint[] = [];
      const whole = await fitWeights(config, {
        onResumePoint: (snapshot) => void places.push(toCheckpoint(snapshot, 0)),
      });
      expect([...places[0]!.tensors.keys()]).toContain("taps/tapping/fc.weight");
      for (const place of places) {
        const rest = await fitWeights(config, { from: () => fromCheckpoint(structuredClone(place)) });
        expect(rest.hash).toBe(whole.hash);
      }
    }
  });

  it("cannot resume from a state that lacks its own, or has another's", async () => {
    const places: Checkpoint[] = [];
    const saving = { onResumePoint: (snapshot: Snapshot) => void places.push(toCheckpoint(snapshot, 0)) };
    await fitWeights(microConfig(), saving);
    const without = places.at(-1)!;
    await expect(
      fitWeights(microConfig({ plugins: [drift] }), { from: () => fromCheckpoint(without) }),
    ).rejects.toMatchObject({ code: "ERR_RESUME", message: expect.stringContaining('no afterStep state "tapping/') });
    await fitWeights(microConfig({ plugins: [drift] }), saving);
    const within = places.at(-1)!;
    await expect(fitWeights(microConfig(), { from: () => fromCheckpoint(within) })).rejects.toMatchObject({
      code: "ERR_RESUME",
      message: expect.stringContaining('the afterStep state "tapping/'),
    });
  });

  it("holds as many tensors at every step", async () => {
    const seen = new Set<number>();
    await fitWeights(microConfig({ data, epochs: 3, plugins: [drift] }), {
      before: ({ events }) => events.on("step", ({ step }) => void (step > 2 && seen.add(tf.memory().numTensors))),
    });
    expect(seen.size).toBe(1);
  });
});

describe("a mistake is named", () => {
  const twice = tapping(({ afterStep }) => {
    afterStep.tap((weights) => weights);
    afterStep.tap((weights) => weights);
  });
  it("two taps of one plugin", () => {
    expect(() => new Trainer(microConfig({ plugins: [twice] }))).toThrow(/taps "afterStep" twice/);
  });

  it.each<[string, (hooks: Hooks) => void, RegExp]>([
    ["fewer weights", ({ afterStep }) => afterStep.tap(() => new Map()), /expected \d+ weights, got 0/],
    [
      "another shape",
      ({ afterStep }) => afterStep.tap((weights) => new Map(weights).set("fc.bias", tf.zeros([5]))),
      /expected \[4\] for the weight "fc.bias", got \[5\]/,
    ],
    [
      "an unknown state",
      ({ afterStep }) => afterStep.tap((weights, { setState }) => (setState("x", tf.scalar(1)), weights)),
      /it has no state "x"/,
    ],
    ["an unknown option", ({ afterStep }) => afterStep.tap({ pure: true } as never, (weights) => weights), /"pure"/],
  ])("%s", async (_, tap, message) => {
    const failing = async () => fitWeights(microConfig({ plugins: [tapping(tap)] }));
    await expect(failing()).rejects.toThrow(message);
  });
});

it("a weight that is not finite afterwards is a step that was not applied", async () => {
  const spoil = tapping(({ afterStep }) =>
    afterStep.tap({ numbers: ({ step }) => ({ factor: step === 2 ? Number.NaN : 1 }) }, (weights, { numbers }) => {
      const value = tf.mul(weights.get("fc.bias")!, numbers.factor!);
      return new Map(weights).set("fc.bias", value);
    }),
  );
  await expect(fitWeights(microConfig({ plugins: [spoil] }))).rejects.toMatchObject({ code: "ERR_DIVERGED" });
});
