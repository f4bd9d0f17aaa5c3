import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { issuesCsv } from "../../../cli/data-check.js";
import { loadBackend } from "../../../core/backend/index.js";
import { csvRows } from "../../../core/data/csv.js";
import { imageFolder } from "../../../core/data/image-folder.js";
import { type FolderInspection, inspectFolder } from "../../../core/data/inspect.js";
import { sgd } from "../../../core/index.js";
import { labelIssues } from "../../../core/labels/check.js";
import { pretrainedFeatures } from "../../../core/labels/features.js";
import { efficientNetLite0 } from "../../../core/models/index.js";
import { initialWeights } from "../../../core/nn/layer.js";
import { weightsToSafetensors } from "../../../core/nn/weights-file.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";
import { microNet } from "../../../core/testing/index.js";
import { dataCheckPage } from "../../../report/data-page.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const folder = temporaryFolder();
/** Files in the folder of the other class. */
const wrong = ["train/blue/wrong-3.png", "train/red/wrong-20.png"];

beforeAll(async () => {
  await loadBackend();
  for (let at = 0; at < 48; at++) {
    const true_ = at < 24 ? "blue" : "red";
    const random = stream(1, "pixels", at);
    const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, place) => {
      return random.int(120) + (place % 3 === (true_ === "red" ? 0 : 2) ? 100 : 0);
    });
    const file =
      at === 40 ? wrong[0]! : at === 20 ? wrong[1]! : `${at % 6 === 5 ? "test" : "train"}/${true_}/${at}.png`;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(
      join(folder, file),
      await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } })
        .png()
        .toBuffer(),
    );
  }
});

/** Random weights of the network as a file: they see colours too. */
function weightsFile(): { bytes: Uint8Array; where: string } {
  const { layer } = makePart(efficientNetLite0({ stem: "imagenet" })).build({
    classes: 7,
    inputSize: 224,
    buildBlock: (branch) => branch,
    buildHead: (head) => head,
  });
  const weights = initialWeights(layer, 1);
  const bytes = weightsToSafetensors(weights, layer);
  for (const value of weights.values()) value.dispose();
  return { bytes, where: "weights.safetensors" };
}

const config = {
  name: "labels",
  data: imageFolder({ path: folder, size: 16 }),
  model: microNet(),
  optimizer: sgd({ momentum: 0.9 }),
  learningRate: 0.1,
  epochs: 4,
  batchSize: 8,
};

describe("labels of a folder", () => {
  it.each(["probe", "training"] as const)("are doubted where they are wrong, in every split: %s", async (way) => {
    const before = tf.memory().numTensors;
    const found: FolderInspection = await inspectFolder(folder, {
      labels: (images, files, classes) => {
        const judge = way === "probe" ? { weights: weightsFile() } : { config, size: 16 };
        return labelIssues(images, { files, classes, judge, folds: 4, seed: 1 });
      },
    });
    const doubted = found.issues.filter(({ kind }) => kind === "doubted label");
    expect(doubted.map(({ file }) => file).sort()).toEqual(wrong);
    for (const { class: given, suggested, score, exclude } of doubted) {
      expect(suggested).toBe(given === "red" ? "blue" : "red");
      expect(score).toBeLessThan(0.5);
      expect(exclude).toBe(false);
    }
    expect(tf.memory().numTensors).toBe(before);

    const [head, ...rows] = csvRows(issuesCsv(doubted), "issues.csv").map(({ cells }) => cells);
    expect(head).toEqual(["file", "split", "class", "issue", "detail", "exclude", "suggested", "score"]);
    expect(rows.map((row) => [row[3], row[5]])).toEqual([
      ["doubted label", "no"],
      ["doubted label", "no"],
    ]);
    const page = await dataCheckPage(found, "issues.csv");
    const shown = page.blocks.find(({ title }) => title === "Doubted label");
    expect(JSON.stringify(shown)).toContain("suggested: blue");
  });

  it("are not looked for unless they are asked for, and the page has no row for them", async () => {
    const found = await inspectFolder(folder);
    expect(found.kinds).not.toContain("doubted label");
    const page = await dataCheckPage(found, "issues.csv");
    const table = page.blocks.find(({ kind }) => kind === "table");
    expect(JSON.stringify(table)).not.toContain("doubted");
  });

  it("refuse the weights of another network", async () => {
    const layer = makePart(microNet()).build({
      classes: 2,
      inputSize: 16,
      buildBlock: (branch) => branch,
      buildHead: (head) => head,
    }).layer;
    const weights = initialWeights(layer, 1);
    const bytes = weightsToSafetensors(weights, layer);
    for (const value of weights.values()) value.dispose();
    await expect(pretrainedFeatures([join(folder, wrong[0]!)], { bytes, where: "other.safetensors" })).rejects.toThrow(
      "other.safetensors",
    );
  });
});
