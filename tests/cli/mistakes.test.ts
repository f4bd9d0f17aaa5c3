/** Every mistake on the command line: the code, the message, and nothing written. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, expect, it } from "vitest";
import { type Files, gzip, miniCifar100, recordFile, tarOfFiles } from "../support/mini-cifar.js";
import { trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
writeFileSync(join(base, "taken"), "");
writeFileSync(join(base, "notes.txt"), "");
mkdirSync(join(base, "a-run"));
writeFileSync(join(base, "a-run", "config.resolved.json"), "{}");
const quick = ["--preset", "quickstart"];
const small = (data: string): string[] => ["--preset", "cifar100-small", "--data", data];

/** A data set of ours with one file replaced; its path. */
function cifar(name: string, replaced: Files): string {
  const folder = join(base, name);
  mkdirSync(folder);
  for (const [file, bytes] of Object.entries({ ...miniCifar100(), ...replaced }))
    writeFileSync(join(folder, file), bytes);
  return folder;
}
const badLabel = cifar("bad-label", { "train.bin": recordFile([[3, 100]]) });
const archive = gzip(await tarOfFiles(miniCifar100()));
const cuts = Array.from({ length: 10 }, (_, at) => {
  const path = join(base, `cut-${at}.tar.gz`);
  writeFileSync(path, archive.subarray(0, Math.floor(((at + 0.5) * archive.length) / 10)));
  return path;
});

/** Class folders of one image each; `bytes` stand in the place of the second. */
function images(name: string, bytes?: Buffer): string {
  for (const [place, label] of ["cat", "dog"].entries()) {
    mkdirSync(join(base, name, label), { recursive: true });
    if (place === 0) writeFileSync(join(base, name, label, "a.png"), png);
    else if (bytes) writeFileSync(join(base, name, label, "a.png"), bytes);
  }
  return join(base, name);
}
const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: "#336699" } })
  .png()
  .toBuffer();
const verify = (path: string): string[] => ["data", "verify", "--kind", "image-folder", "--data", path];

/** A config file of these fields. */
function config(name: string, fields: string): string[] {
  writeFileSync(join(base, name), `export default { ${fields} };`);
  return ["--config", join(base, name)];
}

/** Arguments, exit code, what standard error says. */
const mistakes: [string, string[], number, RegExp][] = [
  // Names that are not there.
  ["a preset", ["--preset", "quikstart"], 2, /Unknown preset "quikstart" \(did you mean "quickstart"\?\)/],
  ["a preset in capitals", ["--preset", "CIFAR100-Small"], 2, /did you mean "cifar100-small"\?/],
  [
    "a preset like nothing",
    ["--preset", "zzzzzzzzzzzz"],
    2,
    /there are: quickstart, cifar100-small, .*transfer, from-scratch\)/,
  ],
  ["a preset named like a property", ["--preset", "constructor"], 2, /Unknown preset "constructor"/],
  ["a command", ["evalute", "runs/a"], 2, /Unknown command "evalute" \(did you mean "evaluate"\?\)/],
  ["a command with swapped letters", ["trian", ...quick], 2, /did you mean "train"\?/],
  ["a folder as a command", [`${images("given")}/`], 2, /To train on these images: trainer --data \S+given\/$/m],
  [
    "a folder after fit",
    ["fit", `${images("given")}/`],
    2,
    /`trainer fit` takes options only, got ".*given\/"\. To train on these images: trainer --data \S+given\/$/m,
  ],
  [
    "an image as a command",
    [join(images("given"), "cat/a.png")],
    2,
    /To classify this image: trainer predict RUN \S+$/m,
  ],
  ["a config as a command", [config("own.mjs", "")[1]!], 2, /To train this config: trainer --config \S+own\.mjs$/m],
  [
    "a run as a command",
    [join(base, "a-run")],
    2,
    /It is a run\. To resume it: trainer --resume \S+a-run; .*a-run IMAGE$/m,
  ],
  ["a command before options", ["plna", ...quick], 2, /did you mean "plan"\?/],
  ["a command of a group", ["data", "verfy"], 2, /unknown command 'verfy'\n\(Did you mean verify\?\)/],
  ["an option", ["--prest", "quickstart"], 2, /unknown option '--prest'\n\(Did you mean --preset\?\)/],
  ["an option of plan", ["plan", ...quick, "--epoch", "2"], 2, /unknown option '--epoch'\n\(Did you mean --epochs\?\)/],
  [
    "a plugin to leave out",
    [...quick, "--without", "label-smothing"],
    2,
    /--without label-smothing: The config has no plugin "label-smothing" \(did you mean "label-smoothing"\?\)/,
  ],
  ["a plugin of two letters", [...quick, "--without", "zz"], 2, /no plugin "zz" \(there are: random-crop-flip, /],
  ["a plugin of another run", [...quick, "--without", "mixup"], 2, /no plugin "mixup" \(there are: /],
  [
    "a plugin to add",
    [...quick, "--with", "mixpu"],
    2,
    /--with mixpu: Unknown plugin "mixpu" \(did you mean "mixup"\?\)/,
  ],
  [
    "a plugin to add again",
    [...quick, "--with", "one-cycle"],
    2,
    /--with one-cycle: The config has the plugin "one-cycle" already/,
  ],
  [
    "a setting without a value",
    [...quick, "--set", "epochs"],
    2,
    /--set epochs: Expected key=value, such as epochs=20/,
  ],
  ["a setting of nothing", [...quick, "--set", "lr=0.1"], 2, /unknown option "lr" \(did you mean "learningRate"\?\)/],
  [
    "a model that is not built in",
    [...quick, "--set", "model=resnt34"],
    2,
    /no built-in model "resnt34" \(did you mean "resnet34"\?\)/,
  ],
  ["a data set that is not built in", [...quick, "--set", "data=shape"], 2, /no built-in data set "shape" \(did you/],
  ["a setting of another plugin", [...quick, "--set", "plugins.cutmx.alpha=1"], 2, /no plugin "cutmx" \(/],
  [
    "a value of a setting",
    [...quick, "--set", "model.width=wide"],
    2,
    /Model "resnet18": "width" expected number, got "wide"/,
  ],
  ["a plugin to describe", ["plugins", "mixpu"], 2, /Unknown plugin "mixpu" \(did you mean "mixup"\?\)/],
  ["a backend", [...quick, "--backend", "tensorflw"], 2, /Allowed choices are tensorflow, wasm/],
  [
    "a kind of data",
    ["data", "verify", "--kind", "imagenet"],
    2,
    /Allowed choices are cifar100, cifar10, image-folder, shapes/,
  ],
  ["a split", ["evaluate", "runs/a", "--split", "train"], 2, /Allowed choices are test, validation/],
  // Values that do not parse.
  [
    "epochs in words",
    [...quick, "--epochs", "two"],
    2,
    /'--epochs <n>' argument 'two' is invalid\. It must be a whole number from 1/,
  ],
  ["half an epoch", [...quick, "--epochs", "1.5"], 2, /It must be a whole number from 1/],
  ["no epochs", [...quick, "--epochs", "0"], 2, /It must be a whole number from 1/],
  ["empty epochs", [...quick, "--epochs", ""], 2, /It must be a whole number from 1/],
  ["a batch of none", [...quick, "--batch-size", "0"], 2, /It must be a whole number from 1/],
  ["a time without a unit", [...quick, "--max-time", "60"], 2, /It must be a time such as "90s", "60m" or "1h30m"/],
  [
    "time and epochs",
    [...quick, "--max-time", "60m", "--epochs", "3"],
    2,
    /expected --max-time or --epochs, got both\. Remove one of them/,
  ],
  [
    "time and steps",
    [...quick, "--max-time", "60m", "--max-steps", "3"],
    2,
    /expected --max-time or --max-steps, got both/,
  ],
  [
    "time and halving",
    ["sweep", ...quick, "--max-time", "60m", "--set", "learningRate=log(0.01,1)", "--halving", "3"],
    2,
    /--halving counts epochs, and --max-time has none/,
  ],
  ["no steps", [...quick, "--max-steps", "-3"], 2, /It must be a whole number from 1/],
  ["a rate of zero", [...quick, "--learning-rate", "0"], 2, /It must be a number above 0/],
  ["a rate that is none", [...quick, "--learning-rate", "NaN"], 2, /It must be a number above 0/],
  ["an endless rate", [...quick, "--learning-rate", "1e999"], 2, /It must be a number above 0/],
  ["a negative seed", [...quick, "--seed=-1"], 2, /It must be a whole number from 0/],
  ["a seed of 33 bits", [...quick, "--seed", "4294967296"], 2, /The config: "seed" .* got 4294967296/],
  ["every image for validation", [...quick, "--holdout", "1"], 2, /It must be a number from 0 to below 1/],
  ["an empty hold-out", [...quick, "--holdout", " "], 2, /It must be a number from 0 to below 1/],
  ["limits", [...quick, "--limit-train", "none"], 2, /It must be a whole number from 1/],
  ["log every zero", [...quick, "--log-every", "0"], 2, /It must be a whole number from 1/],
  ["an option without its value", [...quick, "--out"], 2, /'--out <dir>' argument missing/],
  [
    "bfloat16",
    [...quick, "--precision", "bfloat16", "--backend", "wasm"],
    2,
    /precision "bfloat16" needs the tensorflow backend, and this run has wasm/,
  ],
  ["another precision", [...quick, "--precision", "int8"], 2, /Allowed choices are float32, bfloat16/],
  // What does not go together.
  ["a preset and a config", [...quick, "--config", "a.ts"], 2, /expected --preset or --config, got both/],
  [
    "neither",
    [],
    2,
    /No config found\. Pass --preset or --config, or add trainer\.config\.ts to .*inside or a parent folder\./,
  ],
  ["data for drawn shapes", [...quick, "--data", "."], 2, /its data, shapes, needs no file/],
  ["a word too many", ["fit", ...quick, "more"], 2, /too many arguments for 'fit'/],
  ["predict without images", ["predict", "runs/a"], 2, /missing required argument 'images'/],
  // Places.
  ["a config that is not there", ["--config", "absent.ts"], 65, /absent\.ts does not exist/],
  ["data that is not there", ["--preset", "cifar100-small", "--data", "absent"], 65, /absent does not exist/],
  ["data that is none", ["--preset", "cifar100-small", "--data", join(base, "notes.txt")], 65, /notes\.txt/],
  ["data to verify that is not there", ["data", "verify", "--data", "absent"], 65, /absent does not exist/],
  ["a run that is not there", ["evaluate", "absent"], 65, /absent is not a run: it has no config\.resolved\.json/],
  ["a run that is none", ["predict", base, join(base, "notes.txt")], 65, /is not a run/],
  ["an image that is not there", ["predict", base, "cat.jpg", "dog.jpg"], 65, /No such image: cat\.jpg, dog\.jpg/],
  // Bad data.
  ...cuts.map((path, at): [string, string[], number, RegExp] => [
    `an archive cut in its ${at + 1}. tenth`,
    small(path),
    65,
    new RegExp(`cut-${at}\\.tar\\.gz`),
  ]),
  ["a label out of range", small(badLabel), 65, /train\.bin.*100/],
  ["an empty class folder", verify(images("empty")), 65, /dog/],
  ["an image that cannot be read", verify(images("unreadable", Buffer.from("no image"))), 65, /dog\/a\.png/],
  // Configs.
  ["a key", config("key.mjs", "epoch: 2"), 2, /unknown option "epoch" \(did you mean "epochs"\?\)/],
  ["a key's type", config("type.mjs", 'batchSize: "many"'), 2, /"batchSize".*got "many"/],
  ["a folder in a file", [...quick, "--out", join(base, "taken", "run")], 73, /taken\/run cannot be created/],
  [
    "a folder that holds something",
    [...quick, "--out", base],
    73,
    /is not empty and holds no run\. Please choose another folder with --out/,
  ],
];

afterEach(() => expect(readdirSync(inside), "nothing is written").toEqual([]));

it.each(mistakes)("%s", async (_, args, code, says) => {
  const ran = await trainer(...args);
  expect(ran.stderr).toMatch(says);
  expect(ran.stderr).toMatch(/^trainer: /m);
  expect(ran.stderr, "no stack").not.toMatch(/^\s+at /m);
  expect(ran).toMatchObject({ code, stdout: "" });
});

it("says nothing in colour or of a fault of its own", async () => {
  for (const [, args] of mistakes.slice(0, 5)) {
    const { stderr } = await trainer(...args);
    expect(stderr).not.toContain("\x1b");
    expect(stderr).not.toContain("bug in fitloop");
  }
});
