/** `trainer --data FOLDER` without preset or config, and `trainer init`. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import sharp from "sharp";
import ts from "typescript";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { configForImages } from "../../cli/own-images.js";
import { loadConfig } from "../../core/config/load.js";
import { system } from "../../core/files.js";
import { configRecord, loadBackend, Trainer } from "../../core/index.js";
import { efficientNetLite0 } from "../../core/models/index.js";
import { initialWeights } from "../../core/nn/layer.js";
import { weightsToSafetensors } from "../../core/nn/weights-file.js";
import { makePart } from "../../core/parts.js";
import { parseRepository, repositoryFolder } from "../../core/pretrained/repository-name.js";
import { transferWeights } from "../../presets/transfer.js";
import { plain } from "../support/golden-networks.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
const repository = (): string => repositoryFolder(parseRepository(transferWeights));

async function draw(path: string, count: number, red: number): Promise<void> {
  mkdirSync(path, { recursive: true });
  for (let place = 0; place < count; place++) {
    const background = { r: red, g: 9 * place, b: 77 };
    await sharp({ create: { width: 40, height: 30, channels: 3, background } })
      .jpeg()
      .toFile(join(path, `${place}.jpg`));
  }
}

let weights: Uint8Array | undefined;

/** A file of the right network with random values, where the Hub's would be. */
function putWeights(): void {
  const { layer } = makePart(efficientNetLite0({ stem: "imagenet" })).build(plain(1000));
  weights ??= tf.tidy(() => weightsToSafetensors(initialWeights(layer, 5), layer));
  mkdirSync(repository(), { recursive: true });
  writeFileSync(join(repository(), "model.safetensors"), weights);
}

beforeAll(async () => {
  await loadBackend();
  process.env.HF_HUB_OFFLINE = "1";
  await draw(join(base, "my photos/train/cat"), 26, 250);
  await draw(join(base, "my photos/train/dog"), 4, 10);
  await draw(join(base, "my photos/test/cat"), 2, 250);
  await draw(join(base, "my photos/test/dog"), 2, 10);
});
let count = 0;
beforeEach(() => {
  process.env.FITLOOP_CACHE = join(base, `cache-${count++}`);
  const folder = join(inside, String(count));
  mkdirSync(folder);
  process.chdir(folder);
});
afterAll(() => {
  delete process.env.HF_HUB_OFFLINE;
  delete process.env.FITLOOP_CACHE;
});

const photos = "../../my photos";

describe("trainer --data FOLDER", () => {
  it("says what is there and why it starts from random weights, and trains", async () => {
    const { code, stdout, stderr } = await trainer("--data", photos, "--max-steps", "2");
    expect(stderr).toContain("2 classes, 30 training images, 4 test images: cat 26, dog 4.");
    expect(stderr.match(/unequal/g)).toHaveLength(1);
    expect(stderr).toContain("Classes are unequal: cat has 23 training images, dog 4.");
    expect(stderr).toContain("HF_HUB_OFFLINE forbids a download");
    expect(stderr).toContain(`put both into ${repository()}.`);
    expect(stderr).toContain("Chosen: ResNet-18 at 64 px from random weights");
    expect(code).toBe(0);
    expect(stdout).toContain("runs/my-photos-1");
    expect(existsSync("runs/my-photos-1/report.html")).toBe(true);
  });

  it("takes pretrained weights that were put into the cache by hand, with a new head", async () => {
    putWeights();
    const { code, stderr } = await trainer("--data", photos, "--max-steps", "1", "--out", "run");
    expect(stderr).toContain(`Chosen: EfficientNet-Lite0 at 224 px with the weights ${transferWeights}, 30 epochs`);
    expect(stderr).toContain("only the new head learns (the preset transfer)");
    expect(stderr).toMatch(/^efficientnet-lite0: .* New: classifier\.weight, classifier\.bias\./m);
    expect(stderr.match(/^warning: .*New: /m)).toBeNull();
    expect(code).toBe(0);
    const record = JSON.parse(readFileSync("run/config.resolved.json", "utf8")) as { data: object };
    expect(record.data).toMatchObject({ options: { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] } });
  });

  it("is a plan too, and a config of one's own comes first", async () => {
    const alone = await trainer("plan", "--data", photos);
    expect(alone.code).toBe(0);
    expect(alone.stdout).toContain("resnet18");
    writeFileSync(
      "trainer.config.mjs",
      'import { shapes } from "fitloop/data";\nimport { resnet18 } from "fitloop/models";\n' +
        "export default { data: shapes(), model: resnet18({ width: 4 }), learningRate: 0.1, epochs: 1 };\n",
    );
    const own = await trainer("plan", "--data", photos);
    expect(own.code).toBe(2);
    expect(own.stderr).toMatch(/Data "shapes": unknown option "path"/);
  });

  it("refuses a folder that is no data set", async () => {
    mkdirSync("empty");
    const { code, stderr } = await trainer("--data", "empty");
    expect(code).toBe(65);
    expect(stderr).toContain("expected one folder for each of two or more classes");
  });
});

describe("trainer init --data FOLDER", () => {
  it.each(["with", "without"])(
    "writes the config that the command would train: %s pretrained weights",
    async (which) => {
      if (which === "with") putWeights();
      const { code, stdout } = await trainer("init", "--data", photos);
      expect(code).toBe(0);
      expect(stdout).toContain("npm run train");
      const recordOf = (config: Parameters<typeof configRecord>[0]): unknown => configRecord(config);
      const { config } = await loadConfig();
      const chosen = await configForImages(photos);
      expect(recordOf(new Trainer(config).config)).toEqual(recordOf(new Trainer(chosen).config));
      expect(config.model.name).toBe(which === "with" ? "efficientnet-lite0" : "resnet18");
      expect(JSON.parse(readFileSync("package.json", "utf8"))).toMatchObject({ scripts: { train: "trainer" } });
      expect(readFileSync(".gitignore", "utf8")).toBe("node_modules/\nruns/\n");
    },
  );

  it("keeps what is there", async () => {
    writeFileSync("package.json", '{ "name": "mine", "scripts": { "test": "x" } }');
    writeFileSync(".gitignore", "dist\nruns");
    expect((await trainer("init", "--data", photos)).code).toBe(0);
    expect(JSON.parse(readFileSync("package.json", "utf8"))).toEqual({
      name: "mine",
      scripts: { test: "x", train: "trainer" },
    });
    expect(readFileSync(".gitignore", "utf8")).toBe("dist\nruns\nnode_modules/\n");
    const before = readFileSync("trainer.config.mts", "utf8");
    const again = await trainer("init", "--data", photos);
    expect(again.code).toBe(73);
    expect(again.stderr).toContain("trainer.config.mts already exists here");
    expect(readFileSync("trainer.config.mts", "utf8")).toBe(before);
  });

  it.each([
    ["tabs", '{\n\t"name": "mine"\n}\n', '{\n\t"name": "mine",\n\t"scripts": {\n\t\t"train": "trainer"\n\t}\n}\n'],
    ["four spaces", '{\n    "a": 1\n}', '{\n    "a": 1,\n    "scripts": {\n        "train": "trainer"\n    }\n}'],
    ["CRLF", '{\r\n  "a": 1\r\n}\r\n', '{\r\n  "a": 1,\r\n  "scripts": {\r\n    "train": "trainer"\r\n  }\r\n}\r\n'],
    ["one line", '{ "a": 1 }\n', '{"a":1,"scripts":{"train":"trainer"}}\n'],
  ])("keeps the style of package.json: %s", async (_, before, after) => {
    writeFileSync("package.json", before);
    await trainer("init", "--data", photos);
    expect(readFileSync("package.json", "utf8")).toBe(after);
  });

  it("keeps links and modes", async () => {
    mkdirSync("shared");
    writeFileSync("shared/manifest.json", '{"a":1}', { mode: 0o600 });
    symlinkSync("shared/manifest.json", "package.json");
    expect((await trainer("init", "--data", photos)).code).toBe(0);
    expect(readlinkSync("package.json")).toBe("shared/manifest.json");
    expect(readFileSync("shared/manifest.json", "utf8")).toBe('{"a":1,"scripts":{"train":"trainer"}}');
    expect(statSync("shared/manifest.json").mode & 0o777).toBe(0o600);
  });

  it("leaves package.json whole where the disk is full", async () => {
    writeFileSync("package.json", '{ "name": "mine" }');
    const full = vi.spyOn(system, "writeSync").mockImplementation(() => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    });
    const { code, stderr } = await trainer("init", "--data", photos).finally(() => full.mockRestore());
    expect(code).toBe(74);
    expect(stderr).toContain(`Writing ${join(process.cwd(), "package.json")} failed: the disk is full`);
    expect(stderr).toContain("What was there is unchanged. Make room or allow writing, then run it again.");
    expect(stderr).not.toContain("--out");
    expect(readFileSync("package.json", "utf8")).toBe('{ "name": "mine" }');
    expect(readdirSync(".")).toEqual(["package.json"]);
  });

  it.each([
    ["a new package", undefined, "trainer.config.ts"],
    ["an ES module", '{ "type": "module" }', "trainer.config.ts"],
    ["a package of npm init -y", '{ "type": "commonjs" }', "trainer.config.mts"],
  ])("names the config so that TypeScript takes it for an ES module: %s", async (_, manifest, name) => {
    if (manifest !== undefined) writeFileSync("package.json", manifest);
    const { code, stdout } = await trainer("init", "--data", photos);
    expect(code).toBe(0);
    expect(stdout).toContain(`${name}: the config\n`);
    expect(stdout).toContain("tsconfig.json: settings for editors and tsc");
    const { fileNames, options, errors } = ts.parseJsonConfigFileContent(
      ts.readConfigFile("tsconfig.json", ts.sys.readFile).config,
      ts.sys,
      process.cwd(),
    );
    expect(errors).toEqual([]);
    expect(fileNames.map((file) => basename(file))).toEqual([name]);
    const format = ts.getImpliedNodeFormatForFile(fileNames[0] as ts.Path, undefined, ts.sys, options);
    expect(format).toBe(ts.ModuleKind.ESNext);
    expect((await loadConfig()).file).toBe(join(process.cwd(), name));
  });

  it.each([
    ['{ "compilerOptions": { "module": "commonjs" } }', true],
    ['{ "compilerOptions": { "moduleResolution": "Bundler" } }', false],
  ])("leaves a tsconfig.json as it is, and says what it lacks: %s", async (settings, lacks) => {
    writeFileSync("tsconfig.json", settings);
    const { stdout } = await trainer("init", "--data", photos);
    expect(readFileSync("tsconfig.json", "utf8")).toBe(settings);
    expect(stdout.includes('it needs "module": "nodenext"')).toBe(lacks);
  });

  it("writes nothing beside a package.json that is none", async () => {
    writeFileSync("package.json", "[1]");
    const { code, stderr } = await trainer("init", "--data", photos);
    expect(code).toBe(73);
    expect(stderr).toContain("package.json is no JSON object");
    expect(existsSync("trainer.config.ts")).toBe(false);
  });
});

describe("trainer data check --labels", () => {
  it("judges labels by features of weights in the cache, and lists what it doubts", async () => {
    putWeights();
    const { code, stdout, stderr } = await trainer("data", "check", photos, "--labels", "--folds", "3");
    expect(code).toBe(0);
    expect(stdout).toMatch(/doubted label +\d+/);
    expect(stderr).toContain("features: 34 of 34 images");
    expect(stderr).toMatch(/out of fold, \d+\.\d % of the labels are predicted/);
    expect(readFileSync("issues.csv", "utf8")).toMatch(/^file,split,class,issue,detail,exclude,suggested,score\n/);
    expect(readFileSync("data-check.html", "utf8")).toContain("doubted label");
  });

  it("takes weights as a file, and refuses them alone", async () => {
    putWeights();
    const file = join(repository(), "model.safetensors");
    const { code, stdout } = await trainer("data", "check", photos, "--labels", "--weights", file, "--json", "--quiet");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: 34, kinds: expect.arrayContaining(["doubted label"]) });
    const alone = await trainer(
      "data",
      "check",
      photos,
      "--weights",
      file,
      "--page",
      "other.html",
      "--csv",
      "other.csv",
    );
    expect(alone.code).toBe(2);
    expect(alone.stderr).toContain("--weights has no effect without --labels");
    const folds = await trainer("data", "check", photos, "--folds", "3");
    expect(folds).toMatchObject({ code: 2, stderr: expect.stringContaining("--folds has no effect without --labels") });
    expect(existsSync("other.html")).toBe(false);
  });
});
