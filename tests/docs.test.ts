/** The examples of the documentation compile and run, and its figures and lists are true. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import ts from "typescript";
import { describe, expect, it, vi } from "vitest";
import type { DataSource } from "../core/data/index.js";
import { loadBackend, type Plugin, Trainer, type TrainerConfig } from "../core/index.js";
import { fitWeights, microConfig } from "../core/testing/index.js";
import { presets } from "../presets/index.js";
import { effects, updated } from "../scripts/figures.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const text = (file: string): string => readFileSync(join(root, file), "utf8");

describe("docs/writing-plugins.md", async () => {
  it("has a config that trains", async () => {
    const { default: config } = (await import("snippet:docs/writing-plugins.md#0" as string)) as {
      default: TrainerConfig;
    };
    const short = { ...config, batchSize: 8, limitTrain: 40, limitTest: 8, maxSteps: 2 };
    expect((await new Trainer(short).fit()).summary.steps).toBe(2);
  });

  await import("snippet:docs/writing-plugins.md#2" as string); // its tests join these
  await import("snippet:docs/writing-plugins.md#6" as string);

  it("has a plugin with a layer and a term in the loss: the same bits as a graph, and none to spare", async () => {
    const { featurePenalty } = (await import("snippet:docs/writing-plugins.md#3" as string)) as {
      featurePenalty: (options?: { weight: number }) => Plugin;
    };
    const told: string[] = [];
    const hashOf = async (weight: number, capture = true): Promise<string> => {
      const config = microConfig({ plugins: [featurePenalty({ weight })], capture });
      return (
        await fitWeights(config, { before: ({ events }) => events.on("warning", ({ message }) => told.push(message)) })
      ).hash;
    };
    const penalised = await hashOf(0.1);
    expect(penalised).toBe(await hashOf(0.1, false));
    expect(penalised).not.toBe(await hashOf(0.2));
    expect(await hashOf(0)).toBe(await bits());
    expect(told).toEqual([]);
  });

  it("has a plugin that changes weights after a step: the same bits as a graph, and nothing at 0", async () => {
    const { backToStart } = (await import("snippet:docs/writing-plugins.md#4" as string)) as {
      backToStart: (options?: { pull: number }) => Plugin;
    };
    const hashOf = async (pull: number, capture = true): Promise<string> =>
      (await fitWeights(microConfig({ plugins: [backToStart({ pull })], capture }))).hash;
    const pulled = await hashOf(0.1);
    expect(pulled).toBe(await hashOf(0.1, false));
    expect(pulled).not.toBe(await bits());
    expect(await hashOf(0)).toBe(await bits());
  });
});

/** The bits of a micro run with these plugins. */
const bits = async (...plugins: Plugin[]): Promise<string> => (await fitWeights(microConfig({ plugins }))).hash;

describe("trainer.config.ts", () => {
  it("is a config that trains, with a plugin of its own that says what it saw", async () => {
    const { default: config } = await import("../trainer.config.js");
    const trainer = new Trainer({ ...config, limitTrain: 40, limitTest: 8, epochs: 2, batchSize: 8 });
    const said: string[] = [];
    trainer.events.on("warning", ({ message }) => said.push(message));
    expect((await trainer.fit()).summary.epochs).toBe(2);
    expect(said.join("\n")).toMatch(/^best top1 0\.\d{3} in epoch [12]$/m);
  });
});

describe("figures", () => {
  it("stand everywhere as in results/", () => {
    expect([...updated()].filter(([file, figures]) => text(file) !== figures).map(([file]) => file)).toEqual([]);
  });

  it("are there for every preset and no other, measured or not", () => {
    const { presets: known } = JSON.parse(text("results/presets.json")) as { presets: object };
    expect(Object.keys(known).sort()).toEqual(Object.keys(presets).sort());
    const listed = [...text("docs/presets.md").matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(Object.keys(presets).sort());
  });

  it("of a plugin come from its rows of results/ablations.csv, sign and verdict included", () => {
    expect(effects().get("cutmix")).toMatch(/^−3\.7 ± 0\.8 points .*, 40 epochs: worse\. .*−3\.9 ± 0\.6 points/);
    expect(effects().get("ema")).toMatch(/, 40 epochs: no difference shown\./);
    expect(effects().get("whitening")).toMatch(/^\+0\.9 points .* 1 seed, so without an interval\./); // left out: −0.9
    expect(effects().has("baseline")).toBe(false);
  });
});

describe("README.md", () => {
  it("is short", () => {
    expect(text("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(120);
  });

  it("has a plugin that trains, in odd epochs on small images", async () => {
    const { peek } = (await import("snippet:README.md#2" as string)) as {
      peek: (options: { size: number }) => Plugin;
    };
    const plugin = peek({ size: 4 });
    const seen = new Set<string>();
    const watch: Plugin = {
      name: "watch",
      options: {},
      apply({ hooks }) {
        hooks.beforeBatch.tap({ stage: "last" }, (batch, { epoch }) => {
          seen.add(`${epoch}: ${batch.images.shape.slice(1)}`);
          return batch;
        });
      },
    };
    await bits(plugin, watch);
    expect([...seen]).toEqual(["0: 8,8,3", "1: 4,4,3", "2: 8,8,3"]);
  });

  it("has a script that trains on a folder of images, and one that uses the model", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fitloop-readme-"));
    const before = process.cwd();
    const printed = vi.spyOn(console, "log").mockReturnValue(undefined);
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const { fit } = Trainer.prototype;
    vi.spyOn(Trainer.prototype, "fit").mockImplementation(function (this: Trainer, ...options) {
      Object.assign(this.config, { epochs: 2 });
      return fit.apply(this, options);
    });
    try {
      for (const background of ["red", "blue"]) {
        mkdirSync(join(folder, "photos", background), { recursive: true });
        const image = sharp({ create: { width: 70, height: 66, channels: 3, background } }).png();
        const bytes = await image.toBuffer();
        for (let number = 0; number < 10; number++) {
          writeFileSync(join(folder, "photos", background, `${number}.png`), bytes);
        }
        writeFileSync(join(folder, "cat.jpg"), await image.jpeg().toBuffer());
      }
      process.chdir(folder);
      await import("snippet:README.md#0" as string);
      const answer = { class: expect.stringMatching(/^(red|blue)$/), probability: expect.any(Number) };
      expect(printed.mock.calls.at(-1)).toEqual([expect.any(Number), [answer, answer]]);
      await import("snippet:README.md#1" as string);
      expect(printed.mock.calls.at(-1)).toEqual([answer]);
    } finally {
      process.chdir(before);
      vi.restoreAllMocks();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("docs/hooks.md", () => {
  it("has a plugin that trains, gives the same bits twice, and does nothing at scale 0", async () => {
    const { gradientNoise } = (await import("snippet:docs/hooks.md" as string)) as {
      gradientNoise: (options?: { scale: number }) => Plugin;
    };
    const without = await bits();
    expect(await bits(gradientNoise({ scale: 0 }))).toBe(without);
    const noisy = await bits(gradientNoise());
    expect(noisy).not.toBe(without);
    expect(await bits(gradientNoise())).toBe(noisy);
  });
});

describe("docs/data.md", () => {
  it("has a data set that a network learns", async () => {
    await loadBackend();
    const { brightness } = (await import("snippet:docs/data.md" as string)) as {
      brightness: (count: number) => DataSource;
    };
    const config = microConfig({ data: brightness(40), learningRate: 0.05, epochs: 10 });
    const {
      summary: { test },
    } = await new Trainer(config).fit();
    expect(test).toMatchObject({ count: 40, top1: 1 });
  });
});

it("every block of TypeScript of every page and card type-checks", () => {
  const cards = readdirSync(join(root, "plugins"), { withFileTypes: true })
    .filter((each) => each.isDirectory() && ts.sys.fileExists(join(root, "plugins", each.name, "README.md")))
    .map(({ name }) => `plugins/${name}/README.md`);
  const pages = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md") && name !== "api.md"); // generated declarations
  const files = ["README.md", "CONTRIBUTING.md", ...pages.map((name) => `docs/${name}`), ...cards];
  const blocks = new Map<string, string>();
  for (const file of files) {
    expect(text(file), `${file}: blocks of code are called ts`).not.toMatch(/^```(typescript|js|javascript)$/m);
    [...text(file).matchAll(/^```ts\n(.*?)^```$/gms)].forEach(([, block], place) => {
      // A relative import is of the block before, which the text has just shown.
      const linked = block!.replace(/"\.\/[\w-]+\.js"/g, `"./${file.split("/").at(-1)}.snippet-${place - 1}.js"`);
      blocks.set(join(root, `${file}.snippet-${place}.ts`), linked);
    });
  }
  expect(blocks.size).toBeGreaterThan(cards.length); // each card has one; a page may have none

  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => blocks.has(path) || fileExists(path);
  host.readFile = (path) => blocks.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...rest) =>
    blocks.has(path)
      ? ts.createSourceFile(path, blocks.get(path)!, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, path, ...rest);
  const program = ts.createProgram([...blocks.keys()], options, host);
  const problems = [...blocks.keys()].flatMap((path) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText }) => `${path.slice(root.length)}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
  });
  expect(problems).toEqual([]);
});

it("docs/reliability.md names tests and scripts that there are, each promise with one", () => {
  const page = text("docs/reliability.md");
  const rows = page.match(/^\| R\d+ .*$/gm) ?? [];
  expect(rows.length).toBeGreaterThan(14);
  for (const row of rows) {
    const named =
      row
        .split("|")
        .at(-2)!
        .match(/`(?:tests|scripts)\/[^`]+`/g) ?? [];
    expect(named.length, row).toBeGreaterThan(0);
    for (const name of named) expect(ts.sys.fileExists(join(root, name.slice(1, -1))), name).toBe(true);
  }
  const ids = rows.map((row) => /R\d+/.exec(row)![0]);
  expect(ids).toEqual([...new Set(ids)]);
});
