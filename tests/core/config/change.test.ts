/** A config changed by paths, as `--set` does: new configs, checked like any other. */
import { describe, expect, it, test } from "vitest";
import { z } from "zod";
import { addPlugin, parseSetting, replacePlugin, setOption } from "../../../core/config/change.js";
import { resolveConfig } from "../../../core/config/config.js";
import { imageFolder } from "../../../core/data/index.js";
import { losses, type Metric, sgd, type TrainerConfig } from "../../../core/index.js";
import { resnet18 } from "../../../core/models/index.js";
import { makePart, partFactory } from "../../../core/parts.js";
import { microConfig } from "../../../core/testing/index.js";
import { cutmix, labelSmoothing, mixup, multiStep } from "../../../plugins/index.js";

const fBeta = partFactory("metric", "f-beta", z.strictObject({ beta: z.number().default(1) }), (options): Metric => {
  return { name: "f-beta", options, better: "higher", compute: () => options.beta };
});
const [fBetaMade, sgdMade] = [makePart(fBeta()), makePart(sgd())];

const base = (): TrainerConfig => ({
  ...microConfig({ model: resnet18({ width: 8 }), plugins: [labelSmoothing(), cutmix({ alpha: 1 })] }),
  optimizer: undefined,
});
/** A setting as the command line has it, checked. */
const resolved = (...settings: string[]) =>
  resolveConfig(
    settings.reduce((config, text) => {
      const { path, value } = parseSetting(text);
      return setOption(config, path, value);
    }, base()),
  );

describe("a setting", () => {
  it.each<[string, string[], unknown]>([
    ["epochs=20", ["epochs"], 20],
    ["a.b.0=1e-3", ["a", "b", "0"], 0.001],
    ["capture=false", ["capture"], false],
    ['x="7"', ["x"], "7"],
    ["data.path=a=b, c", ["data", "path"], "a=b, c"],
    ["x=", ["x"], ""],
    ["x=[1, 2]", ["x"], [1, 2]],
    ["x={", ["x"], "{"],
  ])("%s", (text, path, value) => expect(parseSetting(text)).toEqual({ path, value }));

  it.each(["epochs", "=3", "a..b=1", ".a=1", ""])("%j is refused", (text) => {
    expect(() => parseSetting(text)).toThrow(
      /^Expected key=value, such as epochs=20 or plugins\.cutmix\.alpha=0\.2, got "/,
    );
  });
});

describe("setting", () => {
  it("a field, a nested field, an option of each part, and an item of a list", () => {
    expect(resolved("epochs=7", "onDivergence.skip=2")).toMatchObject({ epochs: 7, onDivergence: { skip: 2 } });
    expect(resolved("model.width=4").model.options).toMatchObject({ width: 4, stem: "auto" });
    expect(resolved("optimizer.momentum=0.5").optimizer).toMatchObject({ name: "sgd", options: { momentum: 0.5 } });
    expect(resolved("data.train=40").data.options).toMatchObject({ train: 40, size: 8 });
    expect(resolved("plugins.cutmix.alpha=0.2", "plugins.0.smoothing=0.3").plugins).toMatchObject([
      { name: "label-smoothing", options: { smoothing: 0.3 } },
      { name: "cutmix", options: { alpha: 0.2 } },
    ]);
    const steps = microConfig({ plugins: [multiStep({ milestones: [1, 2] })] });
    const changed = resolveConfig(setOption(steps, ["plugins", "multi-step", "milestones", "1"], 3));
    expect(changed.plugins[0]!.options).toMatchObject({ milestones: [1, 3] });
  });

  it("leaves the given config and its parts as they were", () => {
    const config = base();
    const before = JSON.stringify(config);
    for (const path of [["epochs"], ["model", "width"], ["plugins", "cutmix", "alpha"], ["optimizer", "momentum"]]) {
      expect(JSON.stringify(setOption(config, path, 0.5))).not.toBe(before);
    }
    expect(JSON.stringify(config)).toBe(before);
  });

  it("gives an option that a part cannot do without", () => {
    const config = microConfig({ data: imageFolder({} as never) });
    expect(() => resolveConfig(config)).toThrow('Data "imageFolder": "path"');
    expect(resolveConfig(setOption(config, ["data", "path"], "/images")).data.options.path).toBe("/images");
  });

  it.each<[string, string | RegExp]>([
    ["epoch=3", 'The config: unknown option "epoch" (did you mean "epochs"?).'],
    ["epochs=three", 'The config: "epochs" expected number, got "three".'],
    ["lr=0.1", 'The config: unknown option "lr" (did you mean "learningRate"?).'],
    ["callbacks=[]", 'The config: unknown option "callbacks" (did you mean "plugins"?).'],
    ["validation_split=0.1", 'The config: unknown option "validation_split" (did you mean "holdout"?).'],
    [
      "weight_decay=0.1",
      /unknown option "weight_decay" \(an option of the optimizer: adamw\(\{ weightDecay: 0\.01 \}\)\)/,
    ],
    ["optimizer.weight_decay=-1", 'Optimizer "sgd": unknown option "weight_decay" (did you mean "weightDecay"?).'],
    ["model.widht=3", 'Model "resnet18": unknown option "widht" (did you mean "width"?).'],
    ["plugins.cutmix.alpha=high", 'Plugin "cutmix": "alpha" expected number, got "high".'],
    ["plugins.cutmx.alpha=1", 'The config has no plugin "cutmx" (did you mean "cutmix"?).'],
    ["plugins.2.alpha=1", /^The config has no plugin "2"/],
    ["model=resnet34", '"model" cannot be set: "resnet18" is a part. Set one of its options, such as model.KEY=VALUE.'],
    ["plugins.cutmix=1", /"plugins\.cutmix" cannot be set: "cutmix" is a part/],
    ["__proto__.polluted=1", /unknown option "__proto__"/],
    ["model.__proto__.polluted=1", /unknown option "__proto__"/],
  ])("%s is refused as in any config", (text, message) => {
    expect(() => resolved(text)).toThrow(message);
    expect("polluted" in {}).toBe(false);
  });

  const own = { compute: () => 0 as never, load: () => 0 as never, build: () => 0 as never, update: () => 0 as never };
  it.each<
    [place: string, option: string, value: number, change: Partial<TrainerConfig>, other: Partial<TrainerConfig>]
  >([
    ["data", "train", 40, {}, { data: { ...own, name: "mine", options: { train: 1 } } }],
    ["model", "width", 4, {}, { model: { ...own, name: "mine", options: { width: 1 } } }],
    ["optimizer", "momentum", 0.5, {}, { optimizer: { ...sgdMade, name: "mine", options: { momentum: 1 } } }],
    ["loss", "gamma", 1, { loss: losses.focal() }, { loss: { ...own, name: "mine", options: { gamma: 1 } } }],
    ["metrics.0", "beta", 2, { metrics: [fBeta()] }, { metrics: [{ ...fBetaMade, options: { beta: 1 } }] }],
    ["metrics.f-beta", "beta", 2, { metrics: [fBeta()] }, { metrics: [{ ...fBetaMade, options: { beta: 1 } }] }],
    [
      "plugins.cutmix",
      "alpha",
      0.2,
      {},
      { plugins: [{ name: "cutmix", options: { alpha: 1 }, apply: () => undefined }] },
    ],
  ])(
    "%s: an option of a factory's part; not an unknown one, nor one of a part written by hand",
    (place, option, value, change, other) => {
      const path = place.split(".");
      const part = (config: ReturnType<typeof resolveConfig>) => {
        const found = config[path[0] as "loss"] as unknown;
        const list = found as { name: string; options: Record<string, unknown> }[];
        return (Array.isArray(found) ? list.find(({ name }, at) => [name, String(at)].includes(path[1]!)) : found) as {
          options: Record<string, unknown>;
        };
      };
      const config = { ...base(), ...change };
      expect(part(resolveConfig(setOption(config, [...path, option], value))).options[option]).toBe(value);
      expect(() => resolveConfig(setOption(config, [...path, `${option}s`], value))).toThrow(
        `unknown option "${option}s" (did you mean "${option}"?)`,
      );
      expect(() => setOption(config, path, "other")).toThrow(/cannot be set: ".*" is a part|Unknown optimizer/);
      expect(() => setOption({ ...base(), ...other }, [...path, option], value)).toThrow(
        /^".*" cannot be set: ".*" is written by hand\. Change it in the config\.$/,
      );
    },
  );
});

describe("plugins", () => {
  const names = ({ plugins }: TrainerConfig) => plugins!.map(({ name }) => name);

  it("are added at the end, once", () => {
    expect(names(addPlugin(base(), mixup()))).toEqual(["label-smoothing", "cutmix", "mixup"]);
    expect(names(addPlugin(microConfig(), mixup()))).toEqual(["mixup"]);
    expect(() => addPlugin(base(), cutmix())).toThrow('The config has the plugin "cutmix" already.');
  });

  it("are replaced in their place, or left out", () => {
    expect(names(replacePlugin(base(), "label-smoothing", mixup(), multiStep()))).toEqual([
      "mixup",
      "multi-step",
      "cutmix",
    ]);
    expect(names(replacePlugin(base(), "cutmix"))).toEqual(["label-smoothing"]);
    expect(() => replacePlugin(base(), "cutmx")).toThrow('no plugin "cutmx" (did you mean "cutmix"?)');
    expect(() => replacePlugin(microConfig(), "cutmix")).toThrow('no plugin "cutmix" (it has none)');
  });
});

test("a plugin's option without `plugins.` in front of it is told how to be written; a field of that name stays one", () => {
  expect(() => resolved("cutmix.alpha=0.5")).toThrow(
    '"cutmix" is a plugin of this config. Write plugins.cutmix.alpha.',
  );
  const seed = { name: "seed", options: {}, apply: () => undefined };
  expect(setOption({ ...base(), plugins: [seed] }, ["seed"], 7).seed).toBe(7);
});
