/** A run knows its data: other classes refuse everywhere, other images refuse a resume and are reported elsewhere. */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { inside } = workplace();
const at = (...names: string[]): string => join(inside, ...names);
const config = `import { defineConfig } from "fitloop";
import { imageFolder } from "fitloop/data";
import { resnet18 } from "fitloop/models";
export default defineConfig({
  name: "fruit", data: imageFolder({ path: "images", size: 8 }), model: resnet18({ width: 2, stem: "cifar" }),
  learningRate: 0.05, epochs: 2, batchSize: 5, holdout: 0.25, seed: 1,
});
`;
const image = (colour: number, seed: number): Promise<Buffer> => {
  const pixels = Uint8Array.from(
    { length: 192 },
    (_, place) => (place * 7 + seed * 31 + (place % 3 === colour ? 150 : 0)) & 255,
  );
  return sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } })
    .png()
    .toBuffer();
};

beforeAll(async () => {
  for (const [colour, name] of ["apple", "kiwi", "plum"].entries()) {
    for (const [split, count] of [
      ["train", 6],
      ["test", 2],
    ] as const) {
      mkdirSync(at("original", split, name), { recursive: true });
      for (let seed = 0; seed < count; seed++) {
        writeFileSync(
          at("original", split, name, `${seed}.png`),
          await image(colour, seed + (split === "test" ? 50 : 0)),
        );
      }
    }
  }
  mkdirSync(at("node_modules"));
  symlinkSync(join(import.meta.dirname, "../.."), at("node_modules/fitloop"));
  writeFileSync(at("trainer.config.mts"), config);
  cpSync(at("original"), at("images"), { recursive: true });
  expect(await trainer("--out", "whole", "--quiet")).toMatchObject({ code: 0 });
  expect(await trainer("--out", "part", "--quiet", "--max-steps", "5")).toMatchObject({ code: 0 });
});
beforeEach(() => {
  for (const name of ["images", "run"]) rmSync(at(name), { recursive: true, force: true });
  cpSync(at("original"), at("images"), { recursive: true });
});

const read = (): (() => Promise<Ran>)[] => [
  () => trainer("evaluate", "whole", "--resamples", "10"),
  () => trainer("evaluate", "whole", "--split", "validation", "--resamples", "10"),
  () => trainer("gradcam", "whole", "--split", "test", "--out", "drawings"),
];
const resume = (...more: string[]): Promise<Ran> => {
  rmSync(at("run"), { recursive: true, force: true });
  cpSync(at("part"), at("run"), { recursive: true });
  return trainer("--resume", "run", "--max-steps", "1000", "--quiet", ...more);
};
const renameClass = (from: string, to: string): void => {
  for (const split of ["train", "test"]) renameSync(at("images", split, from), at("images", split, to));
};

it("the record has the classes and the fingerprint", () => {
  const { dataset } = JSON.parse(readFileSync(at("whole", "config.resolved.json"), "utf8"));
  expect(dataset).toEqual({ classes: ["apple", "kiwi", "plum"], fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) });
});

it("the same data is taken without a word, wherever it lies", async () => {
  renameSync(at("images"), at("moved"));
  for (const ran of [
    await trainer("evaluate", "whole", "--data", "moved", "--resamples", "10", "--json"),
    await resume("--data", "moved"),
  ]) {
    expect(ran).toMatchObject({ code: 0, stderr: expect.not.stringContaining("warning") });
  }
  const lost = await trainer("evaluate", "whole");
  expect(lost).toMatchObject({ code: 65, stderr: expect.stringContaining("has moved, say where it is: --data PATH") });
  rmSync(at("moved"), { recursive: true });
});

describe.each<[string, () => void, RegExp]>([
  ["a class renamed", () => renameClass("apple", "rosso"), /missing: apple; new: rosso/],
  [
    "two classes exchanged",
    () => {
      renameClass("apple", "x");
      renameClass("kiwi", "apple");
      renameClass("x", "yes");
    },
    /missing: kiwi; new: yes/,
  ],
  ["a class added", () => cpSync(at("images/train/kiwi"), at("images/train/fig"), { recursive: true }), /new: fig/],
  [
    "a class removed",
    () => {
      for (const split of ["train", "test"]) rmSync(at("images", split, "plum"), { recursive: true });
    },
    /missing: plum/,
  ],
])("%s", (_, change, difference) => {
  it("refuses evaluation, Grad-CAM, replay and resume, whatever is allowed", async () => {
    change();
    const all = [
      ...read(),
      () => trainer("replay", "part", "--step", "2"),
      () => resume(),
      () => resume("--allow-change", "data"),
    ];
    for (const run of all) {
      const { code, stderr, stdout } = await run();
      expect({ code, stdout, stderr }).toMatchObject({ code: 65, stdout: "" });
      expect(stderr).toMatch(/The data has other classes than the run: expected apple, kiwi, plum, got /);
      expect(stderr).toMatch(difference);
    }
  });
});

describe.each<[string, () => Promise<void> | void]>([
  ["an image added", async () => writeFileSync(at("images/train/kiwi/9.png"), await image(1, 9))],
  ["an image removed", () => rmSync(at("images/train/kiwi/5.png"))],
  ["an image of the same size replaced", async () => writeFileSync(at("images/test/kiwi/1.png"), await image(2, 77))],
  [
    "two images exchanged",
    () => {
      renameSync(at("images/train/kiwi/1.png"), at("images/x.png"));
      renameSync(at("images/train/plum/1.png"), at("images/train/kiwi/1.png"));
      renameSync(at("images/x.png"), at("images/train/plum/1.png"));
    },
  ],
  [
    "another order of the same images",
    () => {
      renameSync(at("images/train/kiwi/1.png"), at("images/train/kiwi/8.png"));
    },
  ],
])("%s", (_, change) => {
  it("is reported by evaluation and Grad-CAM, and refuses resume and replay unless it is allowed", async () => {
    await change();
    for (const run of read()) {
      const { code, stderr } = await run();
      expect(code, stderr).toBe(0);
      expect(stderr).toContain("warning: The data has changed since the run was trained: expected the fingerprint ");
    }
    const { stdout } = await trainer("evaluate", "whole", "--resamples", "10", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ dataChanged: true });
    for (const refused of [await resume(), await trainer("replay", "part", "--step", "2")]) {
      expect(refused.code, refused.stderr).toBe(2);
      expect(refused.stderr).toContain("Restore the data, or allow it with --allow-change data.");
    }
    expect(readFileSync(at("run", "metrics.jsonl"))).toEqual(readFileSync(at("part", "metrics.jsonl")));
    for (const allowed of [
      await resume("--allow-change", "data"),
      await trainer("replay", "part", "--step", "2", "--allow-change", "data"),
    ]) {
      expect(allowed.code, allowed.stderr).toBe(0);
      expect(allowed.stderr).toContain("This is allowed by --allow-change data.");
    }
    // The run's data is from now on the new one.
    expect(await trainer("--resume", "run", "--quiet", "--epochs", "3")).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining("data has changed"),
    });
  });
});

it("an image that is damaged while a run trains costs the run nothing: it says so, and resumes", async () => {
  const file = at("images/test/kiwi/1.png");
  const bytes = readFileSync(file);
  writeFileSync(
    at("late.config.mts"),
    config
      .replace("size: 8", "size: 8, validateAll: false")
      .replace(
        'import { defineConfig } from "fitloop";',
        `import { defineConfig } from "fitloop";\nimport { writeFileSync } from "node:fs";`,
      )
      .replace(
        "seed: 1,",
        `seed: 1, plugins: [{ name: "damage", options: {}, apply({ hooks }) { hooks.onStep.tap(({ step }) => {
          if (process.env.DAMAGE && step === 3) writeFileSync("images/test/kiwi/1.png", "");
        }); } }],`,
      ),
  );
  process.env.DAMAGE = "1";
  const failed = await trainer("--config", "late.config.mts", "--out", "run", "--quiet");
  delete process.env.DAMAGE;
  expect(failed).toMatchObject({ code: 65, stderr: expect.stringContaining("1 of 5 images cannot be read") });
  expect(failed.stderr).toMatch(/^The run is kept up to step 6\. To resume it: trainer --resume run$/m);
  writeFileSync(file, bytes);
  expect(await trainer("--resume", "run", "--config", "late.config.mts", "--quiet")).toMatchObject({ code: 0 });
  expect(readFileSync(at("run/weights.safetensors"))).toEqual(readFileSync(at("whole/weights.safetensors")));
});
