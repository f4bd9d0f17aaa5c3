import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  definePlugin,
  optionsOf,
  type Plugin,
  type PluginFactory,
  Trainer,
  TrainerError,
} from "../../../core/index.js";
import { disposePlugins } from "../../../core/loop/plugin-instances.js";
import { type Given, makePart } from "../../../core/parts.js";
import { microConfig, mountPlugin } from "../../../core/testing/index.js";

const plain = (name: string, more: Partial<Plugin> = {}): Plugin => ({
  name,
  options: {},
  apply: () => undefined,
  ...more,
});
const build = (...plugins: Given<Plugin>[]): Trainer => new Trainer(microConfig({ plugins }));

describe("composition", () => {
  it("names every mistake at once, and what to do about each", () => {
    const attempt = (): Trainer =>
      build(
        plain("twice"),
        plain("twice"),
        plain("needy", { requires: ["absent", "twice"] }),
        plain("enemy", { conflicts: ["twice"] }),
        plain("one", { slot: "schedule" }),
        plain("two", { slot: "schedule" }),
        plain("picky", {
          check: ({ epochs }) => [{ level: "error", text: `picky wants more than ${epochs} epochs.` }],
        }),
      );
    expect(attempt).toThrow(
      expect.objectContaining({
        code: "ERR_COMPOSITION",
        exitCode: 2,
        message: [
          'Plugin "twice" was added twice. Remove one of them.',
          'Plugin "needy" needs plugin "absent". Add it, or remove "needy".',
          'Plugins "enemy" and "twice" cannot be combined. Remove one of them.',
          'Plugins "one" and "two" both set the schedule. Remove one of them.',
          "picky wants more than 3 epochs.",
        ].join("\n"),
      }),
    );
  });

  it("lets go together what may", () => {
    const trainer = build(
      plain("a", { slot: "schedule", requires: ["b"] }),
      plain("b", {
        slot: "mixing",
        conflicts: ["c"],
        check: () => [{ level: "hint", text: "b has something to say." }],
      }),
    );
    expect(trainer.hints).toEqual(["b has something to say."]);
  });

  it("lets two need each other: a need is no order", () => {
    const [a, b] = [plain("a", { requires: ["b"] }), plain("b", { requires: ["a"] })];
    expect(build(a, b).hints).toEqual([]);
    expect(build(b, a, plain("c", { requires: ["c"] })).hints).toEqual([]);
  });

  it("refuses the name of a plugin that the run itself adds", () => {
    expect(() => new Trainer(microConfig({ plugins: [plain("run-record")] }), [plain("run-record")])).toThrow(
      'Plugin "run-record" has a name that the run itself uses. Rename it.',
    );
  });

  it("throws before anything is loaded", () => {
    let loaded = false;
    const data = {
      name: "never",
      options: {},
      load: () => ((loaded = true), Promise.reject(new Error("no"))),
    };
    expect(() => new Trainer(microConfig({ data, plugins: [plain("a"), plain("a")] }))).toThrow("was added twice");
    expect(loaded).toBe(false);
  });
});

describe("apply", () => {
  it("is given a stream of the plugin's own", () => {
    const seen: Record<string, number> = {};
    const drawing = (name: string): Plugin =>
      plain(name, { apply: ({ stream }) => void (seen[name] = stream(3, 4).uint32()) });
    mountPlugin(drawing("b"), { config: { plugins: [drawing("a")] } });
    const first = { ...seen };
    mountPlugin(drawing("a"));
    expect(seen).toEqual(first);
    expect(first.a).not.toBe(first.b);
    mountPlugin(drawing("a"), { config: { seed: 2 } });
    expect(seen.a).not.toBe(first.a);
  });

  it.each([
    ["a promise", async () => undefined],
    ["3", () => 3],
    ["null", () => null],
  ])("may not return %s", (what, apply) => {
    expect(() => mountPlugin(plain("odd", { apply: apply as never }))).toThrow(
      `Plugin "odd" failed in apply: expected { save?, load?, dispose? } or nothing, got ${what}.`,
    );
  });

  it("is named when it throws", () => {
    const broken = plain("broken", {
      apply: () => {
        throw new Error("no disk");
      },
    });
    expect(() => mountPlugin(broken)).toThrow(
      expect.objectContaining({
        code: "ERR_PLUGIN",
        plugin: "broken",
        message: 'Plugin "broken" failed in apply: no disk',
      }),
    );
  });
});

describe("dispose", () => {
  it("reaches every plugin once, whatever another one's does", () => {
    const disposed: string[] = [];
    const disposing = (name: string, fails = false) => ({
      plugin: plain(name),
      instance: {
        dispose: () => {
          disposed.push(name);
          if (fails) throw new Error("stuck");
        },
      },
    });
    const failures = disposePlugins([disposing("a"), disposing("b", true), disposing("c")]);
    expect(disposed).toEqual(["a", "b", "c"]);
    expect(failures.map(({ message }) => message)).toEqual(['Plugin "b" failed in dispose: stuck']);
  });
});

describe("definePlugin", () => {
  const scaled = definePlugin({
    name: "scaled",
    summary: "Multiplies the rate",
    options: z.strictObject({ factor: z.number().default(2), kind: z.enum(["a", "b"]).default("a") }),
    apply: ({ factor }, { hooks }) => hooks.resolveLearningRate.tap((rate) => rate * factor),
  });

  it("fills in defaults, freezes the part, and finds options again in a config", () => {
    const { config } = build(plain("other"), scaled({ factor: 3 }));
    expect(makePart(scaled()).options).toEqual({ factor: 2, kind: "a" });
    expect(Object.isFrozen(scaled())).toBe(true);
    expect(optionsOf(config, scaled)).toEqual({ factor: 3, kind: "a" });
    expect(optionsOf(build(plain("other")).config, scaled)).toBeUndefined();
  });

  it("lists every problem with options at once", () => {
    expect(() => build((scaled as unknown as PluginFactory)({ factr: 1, factor: "x", kind: "c" }))).toThrow(
      expect.objectContaining({
        code: "ERR_OPTION",
        message: expect.stringMatching(
          /^Plugin "scaled": (?=.*"factor" expected number, got "x")(?=.*"kind" .* got "c")(?=.*unknown option "factr" \(did you mean "factor"\?\))/,
        ) as string,
      }),
    );
  });

  it("types options", () => {
    // @ts-expect-error factor is a number
    expect(() => makePart(scaled({ factor: "2" }))).toThrow();
    // @ts-expect-error there is no such option
    expect(() => makePart(scaled({ factr: 2 }))).toThrow();
  });
});

describe("checkFiles", () => {
  const reader = (path: string): Plugin => ({
    ...plain("reader"),
    options: { path },
    checkFiles(checks) {
      return checks.run(this.options.path as string);
    },
  });
  const run = async (folder: string): Promise<void> => {
    if (folder === "nowhere") throw new TrainerError("ERR_DATA", "nowhere is not a run.");
  };

  it("is a method of the plugin, whose name its error has", async () => {
    await expect(build(plain("without"), reader("somewhere")).checkFiles({ run })).resolves.toBeUndefined();
    await expect(build(reader("nowhere")).checkFiles({ run })).rejects.toMatchObject({
      code: "ERR_DATA",
      message: 'Plugin "reader": nowhere is not a run.',
    });
  });
});
