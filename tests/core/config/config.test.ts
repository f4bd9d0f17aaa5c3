/** The schema of a config: every mistake is named, and nothing that comes can break the check itself. */

import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { configSchema, defineConfig, resolveConfig } from "../../../core/config/config.js";
import { dataSource, shapes } from "../../../core/data/index.js";
import {
  configRecord,
  type ModelSource,
  makePart,
  type Optimizer,
  type Part,
  type Plugin,
  sgd,
  Trainer,
  type TrainerConfig,
  TrainerError,
} from "../../../core/index.js";
import { models } from "../../../core/models/by-name.js";
import { resnet18 } from "../../../core/models/index.js";
import { optimizers } from "../../../core/nn/optimizers-by-name.js";
import { parseOptions, show } from "../../../core/options.js";
import { microConfig } from "../../../core/testing/index.js";
import { cutmix, l2, labelSmoothing, plugins } from "../../../plugins/index.js";
import { survivesAnyConfig } from "../../support/any-config.js";

const resolve = (config: object): ReturnType<typeof resolveConfig> =>
  resolveConfig({ ...microConfig(), ...config } as TrainerConfig);
const messageOf = (attempt: () => unknown): string => {
  try {
    attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(TrainerError);
    expect((error as TrainerError).exitCode).toBe(2);
    return (error as TrainerError).message;
  }
  return "";
};

/**
 * One slip of the keyboard each: [what it is called, the slip, whether the suggestion must always be right].
 */
const slips: [string, (key: string) => string[], boolean][] = [
  ["a letter lost", (key) => [...key].map((_, at) => key.slice(0, at) + key.slice(at + 1)), false],
  ["a letter too many", (key) => [...key].map((_, at) => `${key.slice(0, at)}q${key.slice(at)}`), false],
  [
    "two letters swapped",
    (key) => [...key].slice(1).map((_, at) => key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2)),
    false,
  ],
  ["all small", (key) => [key.toLowerCase()], true],
  ["all capital", (key) => [key.toUpperCase()], true],
  ["snake_case", (key) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)], true],
  ["kebab-case", (key) => [key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)], true],
];

/** Every set of options there is: whose, the names it knows, and the attempt to give it another. */
type Options = [where: string, known: readonly string[], attempt: (options: object) => unknown, depth?: string];
/** Options without which a part cannot be. */
const needed: Record<string, object> = {
  'plugin "distill"': { teacher: "runs/teacher-1" },
  'plugin "finetune"': { path: "weights.safetensors" },
};
const everywhere: Options[] = [
  ["the config", Object.keys(configSchema.shape), (options) => parseOptions("the config", configSchema, options)],
  ["the config", ["skip", "rollback", "factor"], (options) => resolve({ onDivergence: options }), "onDivergence."],
  ...Object.entries(plugins).map(([name, factory]): Options => {
    const { options: schema } = factory.definition as unknown as { options: z.ZodObject };
    const make = factory as unknown as (options: object) => Part<Plugin>;
    return [`plugin "${name}"`, Object.keys(schema.shape), (options) => resolve({ plugins: [make(options)] })];
  }),
  ...Object.entries(models).map(([name, factory]): Options => {
    const make = factory as (options?: object) => Part<ModelSource>;
    const known = Object.keys(makePart(make()).options);
    const where = `model "${name}"`;
    return [where, known, (options) => resolve({ model: make(options) })];
  }),
  ...Object.entries(optimizers).map(([name, factory]): Options => {
    const make = factory as (options?: object) => Part<Optimizer>;
    const known = Object.keys(makePart(make()).options);
    return [`optimizer "${name}"`, known, (options) => resolve({ optimizer: make(options) })];
  }),
  ...(
    [
      ["cifar100", ["path", "download"]],
      ["shapes", Object.keys(makePart(shapes()).options)],
      ["imageFolder", ["path", "size", "validateAll"]],
    ] as const
  ).map(
    ([name, known]): Options => [
      `data "${name}"`,
      known,
      (options) => resolve({ data: dataSource(name, options as never) }),
    ],
  ),
];

describe("an unknown key", () => {
  it.each(slips)("%s: is refused, and the right one suggested", (_, slip, always) => {
    let tried = 0;
    const wrong: string[] = [];
    for (const [where, known, attempt, depth = ""] of everywhere) {
      for (const key of known) {
        for (const mistake of slip(key).filter((name) => name !== "" && !known.includes(name))) {
          const message = messageOf(() => attempt({ [mistake]: 1 }));
          expect(message).toMatch(new RegExp(`^${where[0]!.toUpperCase()}${where.slice(1)}: `));
          expect(message).toContain(`unknown option "${depth}${mistake}"`);
          tried++;
          // Where there is one, it is named; where there are few and none is near, all are.
          const near = message.split("; ").find((part) => part.includes(`"${depth}${mistake}"`))!;
          if (!new RegExp(`did you mean "${key}"|there is: ${key}\\)`).test(near)) wrong.push(`${where}: ${mistake}`);
        }
      }
    }
    expect(tried).toBeGreaterThan(10);
    expect(wrong.length / tried, wrong.join("\n")).toBeLessThanOrEqual(always ? 0 : 0.05);
  });
});

const bad: [string, unknown][] = [
  ["text", "three"],
  ["a number as text", "3"],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["a negative number", -1],
  ["null", null],
  ["a list", []],
  ["an object", {}],
  ["a function", () => 3],
  ["a BigInt", 3n],
  ["a symbol", Symbol("three")],
  ["a promise", Promise.resolve(3)],
  ["a date", new Date(0)],
  ["a boxed number", Object(3)],
  ["a cycle", Object.assign([], { push: 0 })],
];

/** What nothing is right for, and what breaks a careless look at it. */
const hostile: [string, unknown][] = [
  ["minus zero", -0],
  ["a number too large to be one", 1e309],
  ["symbols for keys", { [Symbol("epochs")]: 1 }],
  ["no prototype", Object.create(null)],
  [
    "a getter that throws",
    Object.defineProperty({}, "length", {
      enumerable: true,
      get: () => {
        throw undefined;
      },
    }),
  ],
  [
    "a proxy that refuses everything",
    new Proxy({}, Object.fromEntries(["get", "has", "ownKeys", "getPrototypeOf"].map((trap) => [trap, refuse]))),
  ],
  ["a revoked proxy", revoked()],
];
function refuse(): never {
  throw new Error("closed");
}
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe("every option of every part", () => {
  it.each(everywhere.map(([where, ...rest]) => [where, ...rest] as const))("of %s", (where, known, attempt) => {
    let refused = 0;
    for (const key of known) {
      for (const [what, value] of [...bad, ...hostile]) {
        // Taken, or refused in one line by its name: messageOf lets no other error pass.
        const message = messageOf(() => attempt({ ...needed[where], [key]: value }));
        if (message === "") continue;
        refused++;
        expect(message, `${key}: ${what}`).toMatch(
          new RegExp(`"(\\w+\\.)?${key}["[.]|cannot be read|expected (a|"halt")`),
        );
        expect(message, `${key}: ${what}`).not.toMatch(/\n|\bat .*:\d+:\d+/);
      }
    }
    expect(refused).toBeGreaterThanOrEqual(10 * known.length);
  });
});

describe("a wrong value", () => {
  const cycle = {} as { self?: object };
  cycle.self = cycle;
  // What is right for a key although it is in the list of what is bad for most.
  const fine = new Set([
    "name: text",
    "name: a number as text",
    "plugins: a list",
    "metrics: a list",
    "metrics: a cycle",
    "plugins: a cycle",
  ]);
  it.each(Object.keys(configSchema.shape))("of %s is named with what came", (key) => {
    for (const [what, value] of [...bad, ["a cyclic object", cycle] as [string, unknown]]) {
      if (fine.has(`${key}: ${what}`)) continue;
      const message = messageOf(() => resolve({ [key]: value }));
      const named = `^The config: ("${key}" .*got .*|unknown option "${key}\\..*\\))\\.$`;
      expect(message, what).toMatch(new RegExp(`${named}|^monitor watches ".*", which no evaluation has`));
      expect(message).not.toContain("\n");
    }
  });

  it.each<[string, readonly unknown[], readonly unknown[], RegExp]>([
    // A name is a folder's: no part of a path comes through.
    [
      "name",
      ["run", "a_b-1.2"],
      ["", "../a", "a/b", "/a", "a/", "a b", "a\n"],
      /expected letters, digits, dots, dashes and underscores/,
    ],
    ["data", [], [{}, { load: 1 }], /expected a data source, such as cifar100\(\{ path \}\)/],
    ["model", [], [{}], /expected a model, such as resnet18\(\)/],
    ["optimizer", [sgd(), undefined], [{}], /expected an optimizer, such as sgd\(\{ momentum: 0\.9 \}\)/],
    ["learningRate", [1e-9, 10], [0, -1], />0/],
    ["epochs", [1, 1000], [0, 0.5], /(>0|int)/],
    ["holdout", [0, 0.99], [-0.1, 1], /(>=0|<1)/],
    ["seed", [0, 2 ** 32 - 1], [-1, 2 ** 32, 0.5], /(>=0|<=4294967295|int)/],
    ["backend", ["tensorflow", "wasm", undefined], ["webgl", ""], /"tensorflow"\|"wasm"/],
    ["precision", ["float32", "bfloat16"], ["float16", ""], /"float32"\|"bfloat16"/],
    ["capture", [true, false], [0, "no"], /boolean/],
    [
      "onDivergence",
      ["halt", { skip: 1 }, { rollback: 1 }, { rollback: 1, factor: 0.9 }],
      ["", { skip: 0 }, { rollback: 1, factor: 1 }],
      /(expected "halt"|>0|<1)/,
    ],
    ["hookTimeout", [0.5, 1_000_000], [0, 1_000_001], /(>0|<=1000000)/],
  ])("of %s is refused from its bound on", (key, good, wrong, words) => {
    for (const value of good)
      expect(
        messageOf(() => resolve({ [key]: value })),
        show(value),
      ).toBe("");
    for (const value of wrong)
      expect(
        messageOf(() => resolve({ [key]: value })),
        show(value),
      ).toMatch(words);
  });

  it("all of them at once", () => {
    const message = messageOf(() =>
      resolve({ epochs: 0, batchSize: 1.5, holdout: 1, seed: 2 ** 32, sed: 1, plugins: [{}] }),
    );
    for (const part of [
      '"epochs"',
      '"batchSize"',
      '"holdout"',
      '"seed"',
      'unknown option "sed" (did you mean "seed"?)',
      '"plugins.0"',
    ]) {
      expect(message).toContain(part);
    }
  });

  it("of a config that is no object at all", () => {
    for (const [, value] of bad.filter(
      ([what]) => !["an object", "a date", "a boxed number", "a promise"].includes(what),
    )) {
      expect(messageOf(() => resolveConfig(value as TrainerConfig))).not.toBe("");
    }
  });
});

describe("any config", () => {
  it("is taken or refused with a message, and never breaks the check", () => void survivesAnyConfig(500));

  it("may have a getter that throws or be a proxy that refuses: it is refused in words", () => {
    const getter = Object.defineProperty({ ...microConfig() }, "epochs", {
      enumerable: true,
      get: () => {
        throw new Error("not today");
      },
    });
    const proxy = new Proxy({} as TrainerConfig, {
      ownKeys: () => {
        throw new Error("closed");
      },
    });
    expect(messageOf(() => resolveConfig(getter))).toMatch(/not today/);
    expect(messageOf(() => resolveConfig(proxy))).toMatch(/closed/);
  });
});

describe("a resolved config", () => {
  it("has every default", () => {
    const { data, model } = microConfig();
    const resolved = resolveConfig({ data, model, learningRate: 0.1, epochs: 1 });
    expect(resolved).toMatchObject({
      name: "run",
      batchSize: 128,
      holdout: 0.1,
      seed: 1,
      plugins: [],
      precision: "float32",
      capture: true,
      evaluateEvery: 1,
      onDivergence: "halt",
      hookTimeout: 600,
    });
    expect(resolve({ onDivergence: { rollback: 2 } }).onDivergence).toEqual({ rollback: 2, factor: 0.5 });
    expect(resolved.optimizer).toMatchObject({ name: "sgd", options: { momentum: 0.9 } });
  });

  it("has made parts, once however often the config is checked", () => {
    const config = microConfig({ plugins: [labelSmoothing()] });
    const [first, again] = [resolveConfig(config), resolveConfig({ ...config, epochs: 5 })];
    for (const key of ["data", "model", "optimizer"] as const) expect(again[key]).toBe(first[key]);
    expect(again.plugins[0]).toBe(first.plugins[0]);
    expect(first.plugins[0]).toMatchObject({ name: "label-smoothing", options: { smoothing: 0.1 } });
  });

  it("does not change with the object it was made from", () => {
    const config = { ...microConfig({ plugins: [labelSmoothing()] }) };
    const resolved = resolveConfig(config);
    config.epochs = 99;
    (config.plugins as unknown[]).length = 0;
    expect(resolved.epochs).toBe(3);
    expect(resolved.plugins).toHaveLength(1);
  });

  it("is JSON as a record: parts are named with their options", () => {
    const record = configRecord(resolve({ plugins: [labelSmoothing({ smoothing: 0.2 })] }));
    expect(JSON.parse(JSON.stringify(record))).toEqual(record);
    expect(record.plugins).toEqual([{ name: "label-smoothing", options: { smoothing: 0.2 } }]);
    expect(record.model).toMatchObject({ name: "micro-net" });
  });
});

describe("defineConfig", () => {
  it("returns the very config it was given", () => {
    const config = microConfig();
    expect(defineConfig(config)).toBe(config);
  });

  it.each<[string, (config: TrainerConfig) => unknown]>([
    ["defineConfig", defineConfig],
    ["new Trainer", (config) => new Trainer(config)],
  ])("lists every mistake of the config and of all parts at once, as %s does", (_, check) => {
    const config = microConfig({
      data: shapes({ size: 1 }),
      model: resnet18({ width: 0, stm: "cifar" } as never),
      optimizer: sgd({ momentum: 2 }),
      plugins: [labelSmoothing({ smothing: 1 } as never), cutmix(), l2({ decay: -1 })],
      learningRate: 0,
    });
    expect(messageOf(() => check({ ...config, seeed: 1 } as TrainerConfig)).split("\n")).toEqual([
      "There are mistakes in 6 places.",
      '- The config: "learningRate" expected number to be >0, got 0; unknown option "seeed" (did you mean "seed"?).',
      '- Data "shapes": "size" expected number to be >=8, got 1.',
      '- Model "resnet18": "width" expected number to be >0, got 0; unknown option "stm" (did you mean "stem"?).',
      '- Optimizer "sgd": "momentum" expected number to be <1, got 2.',
      '- Plugin "label-smoothing": unknown option "smothing" (did you mean "smoothing"?).',
      '- Plugin "l2": "decay" expected number to be >=0, got -1.',
    ]);
  });

  it("names the field of a part of another kind", () => {
    expect(messageOf(() => defineConfig(microConfig({ model: sgd() as never })))).toMatch(
      /^The config: "model" expected a model, such as resnet18\(\), got \{"kind":"optimizer","name":"sgd"/,
    );
  });
});

describe("a part that was changed", () => {
  it("has the changed options, checked", () => {
    const part = labelSmoothing({ smoothing: 0.2 });
    const plugins = [{ ...part, options: { smoothing: 0.3 } }];
    expect(resolve({ plugins }).plugins[0]!.options).toEqual({ smoothing: 0.3 });
    expect(messageOf(() => resolve({ plugins: [{ ...part, options: { smoothing: 3 } }] }))).toMatch(
      /^Plugin "label-smoothing": "smoothing"/,
    );
  });

  it("may have no key more: a function would never be called", () => {
    const plugins = [{ ...labelSmoothing(), apply: () => undefined }];
    expect(messageOf(() => resolve({ plugins }))).toMatch(
      /"plugins.0" has keys that its factory did not give it \(apply\)/,
    );
  });
});

describe("a plugin made by hand", () => {
  const apply = (): void => undefined;
  it.each<[string, unknown, RegExp]>([
    ["no name", { options: {}, apply }, /"plugins.0" expected a name in kebab-case/],
    ["another case", { name: "myPlugin", options: {}, apply }, /expected a name in kebab-case/],
    ["no options", { name: "mine", apply }, /expected options, a plain object/],
    [
      "a misspelt key",
      { name: "mine", options: {}, conflict: [], apply },
      /unknown key "conflict" \(did you mean "conflicts"\?\)/,
    ],
    ["nothing", undefined, /expected a plugin/],
  ])("with %s is refused", (_, plugin, message) => {
    expect(messageOf(() => resolve({ plugins: [plugin] }))).toMatch(message);
  });

  it("that is whole is taken", () => {
    const plugins = [{ name: "mine", options: {}, apply }];
    expect(resolve({ plugins }).plugins).toEqual(plugins);
  });
});
