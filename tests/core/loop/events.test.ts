import { beforeAll, describe, expect, it } from "vitest";
import { type Events, loadBackend, type Plugin } from "../../../core/index.js";
import { createEvents } from "../../../core/loop/events.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";

beforeAll(async () => void (await loadBackend()));

/** Takes every listener away again and keeps later ones out. */
const deaf: Plugin = {
  name: "deaf",
  options: {},
  apply({ hooks, events }) {
    hooks.onFitStart.tap(() => events.all.clear());
  },
};

describe("events", () => {
  it("report a failing listener once, as a warning, and reach the others", () => {
    const events = createEvents();
    const heard: unknown[] = [];
    const warnings: string[] = [];
    events.on("warning", ({ message }) => warnings.push(message));
    events.on("epoch:start", () => {
      throw new Error("disk full");
    });
    events.on("epoch:start", (event) => heard.push(event));
    const event = { epoch: 0, epochs: 1, step: 0, stepsPerEpoch: 1, totalSteps: 1 };
    events.emit("epoch:start", event);
    events.emit("epoch:start", event);
    expect(heard).toEqual([event, event]);
    expect(warnings).toEqual(['A listener of "epoch:start" failed: disk full']);
  });

  it("do not end in a circle when the listener of warnings fails", () => {
    const events = createEvents();
    events.on("warning", () => {
      throw new Error("again");
    });
    events.on("*", () => {
      throw new Error("and again");
    });
    expect(() => events.emit("warning", { message: "something" })).not.toThrow();
  });

  it("come in order, as plain JSON, and say what happened", async () => {
    const heard: [keyof Events, unknown][] = [];
    const { summary } = await fitWeights(microConfig({ epochs: 2 }), {
      before: ({ events }) => events.on("*", (type, event) => heard.push([type, event])),
    });
    const epoch = ["epoch:start", "step", "step", "evaluate:end", "epoch:end"];
    expect(heard.map(([type]) => type)).toEqual(["fit:start", ...epoch, ...epoch, "evaluate:end", "fit:end"]);
    for (const [, event] of heard) expect(JSON.parse(JSON.stringify(event))).toEqual(dropUndefined(event));
    expect(heard.at(-2)![1]).toMatchObject({ purpose: "test", count: 6, source: "current" });
    expect(heard.at(-1)![1]).toMatchObject({ steps: 4, epochs: 2, stopReason: "epochs", seed: summary.seed });
    expect(heard.filter(([type]) => type === "step").map(([, event]) => (event as Events["step"]).step)).toEqual([
      1, 2, 3, 4,
    ]);
    expect(heard.filter(([type]) => type === "step").map(([, event]) => (event as Events["step"]).samples)).toEqual([
      8, 6, 8, 6,
    ]);
  });

  it("change no bit of the weights, whether listeners fail, listen, or are taken away", async () => {
    const quiet = await fitWeights(microConfig());
    const warnings: string[] = [];
    const failing = await fitWeights(microConfig(), {
      before({ events }) {
        events.on("warning", ({ message }) => warnings.push(message));
        events.on("step", () => {
          throw new Error("no");
        });
        events.on("epoch:end", (event) => {
          (event as { epoch: number }).epoch = 99;
        });
      },
    });
    const silenced = await fitWeights(microConfig({ plugins: [deaf] }));
    expect(failing.hash).toBe(quiet.hash);
    expect(silenced.hash).toBe(quiet.hash);
    expect(failing.summary.epochs).toBe(3);
    expect(warnings).toEqual(['A listener of "step" failed: no']);
  });
});

function dropUndefined(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[key, dropUndefined(inner)]])),
  );
}
