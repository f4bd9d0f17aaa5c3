/** The schema of a config: every mistake is named, and nothing that comes can break the check itself. */
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { configSchema, defineConfig, resolveConfig } from "../../../core/config/config.js";
import { dataSource, shapes } from "../../../core/data/index.js";
import { configRecord, sgd, type TrainerConfig, TrainerError } from "../../../core/index.js";
import { models } from "../../../core/models/by-name.js";
import { optimizers } from "../../../core/nn/optimizers.js";
import { parseOptions, show } from "../../../core/options.js";
import { microConfig } from "../../../core/testing/index.js";
import { labelSmoothing, plugins } from "../../../plugins/index.js";
import { survivesAnyConfig } from "../../support/any-config.js";

const fallback = { optimizer: sgd() };
const resolve = (config: object): ReturnType<typeof resolveConfig> =>
  resolveConfig({ ...microConfig(), ...config } as TrainerConfig, fallback);
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
const needed: Record<string, object> = { 'plugin "finetune"': { path: "weights.safetensors" } };
const everywhere: Options[] = [
  ["the config", Object.keys(configSchema.shape), (options) => parseOptions("the config", configSchema, options)],
  ["the config", ["skip", "rollback", "factor"], (options) => resolve({ onDivergence: options }), "onDivergence."],
  ...Object.entries(plugins).map(([name, factory]): Options => {
    const { options: schema } = factory.definition as unknown as { options: z.ZodObject };
    const make = factory as unknown as (options: object) => unknown;
    return [`plugin "${name}"`, Object.keys(schema.shape), make];
  }),
  ...Object.entries(models).map(([name, make]): Options => {
    const known = Object.keys((make as () => { options: object })().options);
    return [`model "${name.replace(/^efficientnet.*/, "efficientnet-b0")}"`, known, make as () => unknown];
  }),
  ...Object.entries(optimizers).map(
    ([name, make]): Options => [`optimizer "${name}"`, Object.keys(make().options), make as () => unknown],
  ),
  ['data "cifar100"', ["path", "download"], (options) => dataSource("cifar100", options as never)],
  ['data "shapes"', Object.keys(shapes().options), (options) => dataSource("shapes", options as never)],
  ['data "imageFolder"', ["path", "size", "validateAll"], (options) => dataSource("imageFolder", options as never)],
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
        expect(message, `${key}: ${what}`).toMatch(new RegExp(`"(\\w+\\.)?${key}["[.]|cannot be read|must be`));
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
  const fine = new Set(["name: text", "name: a number as text", "plugins: a list", "plugins: a cycle"]);
  it.each(Object.keys(configSchema.shape))("of %s is named with what came", (key) => {
    for (const [what, value] of [...bad, ["a cyclic object", cycle] as [string, unknown]]) {
      if (fine.has(`${key}: ${what}`)) continue;
      const message = messageOf(() => resolve({ [key]: value }));
      expect(message, what).toMatch(new RegExp(`^The config: ("${key}" .*came|unknown option "${key}\\..*\\))\\.$`));
      expect(message).not.toContain("\n");
    }
  });

  it.each<[string, readonly unknown[], readonly unknown[], RegExp]>([
    // A name is a folder's: no part of a path comes through.
    [
      "name",
      ["run", "a_b-1.2"],
      ["", "../a", "a/b", "/a", "a/", "a b", "a\n"],
      /must be letters, digits, dots, dashes and underscores/,
    ],
    ["data", [], [{}, { load: 1 }], /must be a data source, such as cifar100\(\{ path \}\)/],
    ["model", [], [{}], /must be a model, such as resnet18\(\)/],
    ["optimizer", [sgd(), undefined], [{}], /must be an optimizer, such as sgd\(\{ momentum: 0\.9 \}\)/],
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
      /(must be "halt"|>0|<1)/,
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
      expect(messageOf(() => resolveConfig(value as TrainerConfig, fallback))).not.toBe("");
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
    expect(messageOf(() => resolveConfig(getter, fallback))).toMatch(/not today/);
    expect(messageOf(() => resolveConfig(proxy, fallback))).toMatch(/closed/);
  });
});

describe("a resolved config", () => {
  it("has every default", () => {
    const { data, model } = microConfig();
    const resolved = resolveConfig({ data, model, learningRate: 0.1, epochs: 1 }, fallback);
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
    expect(resolved.optimizer).toBe(fallback.optimizer);
  });

  it("comes of what defineConfig was given, with its mistakes", () => {
    const config = { epochs: "three" } as unknown as TrainerConfig;
    expect(defineConfig(config)).toBe(config);
  });

  it("does not change with the object it was made from", () => {
    const config = { ...microConfig({ plugins: [labelSmoothing()] }) };
    const resolved = resolveConfig(config, fallback);
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

describe("a plugin made by hand", () => {
  const apply = (): void => undefined;
  it.each<[string, unknown, RegExp]>([
    ["no name", { options: {}, apply }, /"plugins.0" needs a name in kebab-case/],
    ["another case", { name: "myPlugin", options: {}, apply }, /needs a name in kebab-case/],
    ["no options", { name: "mine", apply }, /needs options, a plain object/],
    [
      "a misspelt key",
      { name: "mine", options: {}, conflict: [], apply },
      /unknown key "conflict" \(did you mean "conflicts"\?\)/,
    ],
    ["nothing", undefined, /must be a plugin/],
  ])("with %s is refused", (_, plugin, message) => {
    expect(messageOf(() => resolve({ plugins: [plugin] }))).toMatch(message);
  });

  it("that is whole is taken", () => {
    const plugins = [{ name: "mine", options: {}, apply }];
    expect(resolve({ plugins }).plugins).toEqual(plugins);
  });
});
