import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limit, stratifiedHoldout } from "../../core/data/holdout.js";
import { shapes } from "../../core/data/shapes.js";
import { loadBackend, type Plugin, spread, Trainer } from "../../core/index.js";
import { makePart } from "../../core/parts.js";
import { fitWeights, microConfig } from "../../core/testing/index.js";
import { earlyStopping, gradCam } from "../../plugins/index.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-gradcam-"));
const runFolder = (): string => mkdtempSync(join(folder, "run-"));

beforeAll(async () => void (await loadBackend()));
afterAll(() => rmSync(folder, { recursive: true }));

describe("grad-cam", () => {
  it("spreads its images evenly over the indices", () => {
    expect([...spread(Int32Array.of(1, 3, 5, 7, 9, 11), 3)]).toEqual([1, 5, 9]);
    expect([...spread(Int32Array.of(4, 8), 5)]).toEqual([4, 8]);
    expect([...spread(new Int32Array(0), 5)]).toEqual([]);
  });

  it("writes PNGs every few epochs and at the end: an image, and itself under its map", async () => {
    const run = runFolder();
    await fitWeights(microConfig({ epochs: 3, plugins: [gradCam({ every: 2, images: 3 })] }), {
      folder: run,
    });
    expect(readdirSync(join(run, "gradcam")).sort()).toEqual(["epoch-002", "final"]);
    const files = readdirSync(join(run, "gradcam/final"));
    expect(files).toHaveLength(3);
    for (const file of files) {
      expect(file).toMatch(/^\d+-[\w-]+-predicted-[\w-]+\.png$/);
      const { data, info } = await sharp(join(run, "gradcam/final", file))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect([info.height, info.width]).toEqual([192, 384]);
      const half = (right: boolean): string =>
        Array.from(
          { length: 8 },
          (_, at) => data[((12 + 24 * at) * 384 + (right ? 192 : 0) + 12 + 24 * at) * 3],
        ).join();
      expect(half(true)).not.toBe(half(false));
    }
  });

  it("draws what the network says, or the truth where that is asked for", async () => {
    const names = async (of: "predicted" | "true"): Promise<string[]> => {
      const run = runFolder();
      await fitWeights(microConfig({ epochs: 1, plugins: [gradCam({ every: 0, images: 4, of })] }), {
        folder: run,
      });
      return readdirSync(join(run, "gradcam/final")).map((file) => join(run, "gradcam/final", file));
    };
    const [predicted, truth] = [await names("predicted"), await names("true")];
    const tail = (path: string): string => path.split("/").at(-1)!;
    expect(truth.map(tail)).toEqual(predicted.map(tail));
    // Where the network is wrong, the two maps are of two classes.
    const wrong = predicted.findIndex((path) => !/-(\w+)-predicted-\1\./.test(path));
    expect(wrong).toBeGreaterThanOrEqual(0);
    expect(readFileSync(truth[wrong]!)).not.toEqual(readFileSync(predicted[wrong]!));
  });

  it("works on images that are resized on the device, and without a holdout", async () => {
    const run = runFolder();
    const config = microConfig({
      epochs: 1,
      inputSize: 12,
      holdout: 0,
      plugins: [gradCam({ images: 20 })],
    });
    await fitWeights(config, { folder: run });
    expect(readdirSync(join(run, "gradcam/final"))).toHaveLength(18);
  });

  it("draws validation images within a limit, and never a training image", async () => {
    const run = runFolder();
    const data = shapes({ classes: 4, size: 8, train: 60, test: 4 });
    const left = limit((await makePart(data).load({})).train, 12, 1);
    const held = stratifiedHoldout(left.labels, 0.34, 1).validation;
    await fitWeights(
      microConfig({ data, epochs: 1, limitTrain: 12, holdout: 0.34, plugins: [gradCam({ images: 20 })] }),
      { folder: run },
    );
    const drawn: string[] = [];
    for (const file of readdirSync(join(run, "gradcam/final"))) {
      const pixels = await sharp(join(run, "gradcam/final", file)).extract({
        left: 0,
        top: 0,
        width: 192,
        height: 192,
      });
      drawn.push(String(await pixels.resize(8, 8, { kernel: "nearest" }).raw().toBuffer()));
    }
    const expected = (await left.read(held)).map(({ pixels }) => String(Buffer.from(pixels)));
    expect(drawn.sort()).toEqual(expected.sort());
  });

  it("changes no bit of the weights, and writes nothing without a folder", async () => {
    const plain = await fitWeights(microConfig());
    const watched = await fitWeights(microConfig({ plugins: [gradCam({ every: 1 })] }), {
      folder: runFolder(),
    });
    const alone = await fitWeights(microConfig({ plugins: [gradCam({ every: 1 })] }));
    expect([watched.hash, alone.hash]).toEqual([plain.hash, plain.hash]);
  });

  it("is switched off by its own failure, with a warning, and the run goes on", async () => {
    const said: string[] = [];
    const trainer = new Trainer(microConfig({ plugins: [gradCam({ every: 1, layer: "blok" })] }));
    trainer.events.on("warning", ({ message }) => said.push(message));
    const {
      summary: { stopReason },
    } = await trainer.fit({ folder: runFolder() });
    expect(stopReason).toBe("epochs");
    expect(said).toHaveLength(1);
    expect(said[0]).toContain(
      'Plugin "grad-cam" failed in hook "onEpochEnd": The model has no layer "blok" (did you mean "block"?)',
    );
  });

  it("draws nothing of a run that failed, and the best weights after early stopping", async () => {
    const broken: Plugin = {
      name: "broken",
      options: {},
      apply: ({ hooks }) =>
        hooks.onStep.tap(() => {
          throw new Error("on purpose");
        }),
    };
    const failed = runFolder();
    await expect(fitWeights(microConfig({ plugins: [gradCam(), broken] }), { folder: failed })).rejects.toThrow(
      "on purpose",
    );
    expect(existsSync(join(failed, "gradcam"))).toBe(false);

    const run = runFolder();
    const plugins = [earlyStopping({ patience: 9 }), gradCam({ every: 1 })];
    const { summary } = await fitWeights(microConfig({ learningRate: 3, epochs: 4, plugins }), {
      folder: run,
    });
    const best = Number(/best of epoch (\d)/.exec(summary.test!.source)![1]);
    expect(best).toBeLessThan(4);
    const shown = (place: string): string[] =>
      readdirSync(join(run, "gradcam", place)).map((file) =>
        readFileSync(join(run, "gradcam", place, file)).toString("base64"),
      );
    expect(shown("final")).toEqual(shown(`epoch-00${best}`));
    expect(shown("final")).not.toEqual(shown("epoch-004"));
  });
});
