/** `trainer --data FOLDER` without preset or config: what is in the folder, and the config that suits it. */
import { basename, resolve } from "node:path";
import type { TrainerConfig } from "../core/config/config.js";
import type { ClassFolder, FolderScan } from "../core/data/folder-scan.js";
import { scanImages } from "../core/data/image-folder.js";
import { TrainerError } from "../core/errors.js";
import { repositoryFiles } from "../core/pretrained/repository.js";
import { parseRepository } from "../core/pretrained/repository-name.js";
import { fromScratch, transfer } from "../presets/index.js";
import { transferWeights } from "../presets/transfer.js";

export interface OwnImagesOptions {
  /** `--weights`: a file or "hf:owner/name", of an EfficientNet-Lite0. */
  weights?: string;
  batchSize?: number;
  /** Receives what was found and chosen, one line at a time. */
  log?: (line: string) => void;
}

/** Views of images in a training: about two minutes of two cores at 224 px. */
const views = 3000;
/** From so many training images on, the backbone learns too. */
const enoughForBackbone = 500;

/**
 * The config for a folder of images: pretrained weights where they can be had, else a small network from random ones.
 *
 * @param path as the user wrote it, which is how the config has it
 * @throws TrainerError ERR_DATA for a folder that is no data set
 */
export async function configForImages(
  path: string,
  { weights, batchSize, log = () => {} }: OwnImagesOptions = {},
): Promise<TrainerConfig> {
  const found = await scanImages(resolve(path));
  log(description(found));
  const images = countOf(found.train);
  const name = nameOf(path);
  if (weights !== undefined || (await haveWeights(log))) {
    const epochs = Math.min(30, Math.max(3, Math.round(views / images)));
    const from = weights ?? transferWeights;
    const backbone = images < enoughForBackbone ? "frozen" : "trains";
    const learns = backbone === "frozen" ? "only the new head learns" : "all stages learn";
    log(
      `Chosen: EfficientNet-Lite0 at 224 px with the weights ${from}, ${epochs} epochs; ${learns} (the preset transfer).`,
    );
    return { ...transfer({ data: path, weights, batchSize, epochs, backbone }), name };
  }
  const epochs = scratchEpochs(images);
  log(`Chosen: ResNet-18 at 64 px from random weights, ${epochs} epochs (the preset from-scratch).`);
  return { ...fromScratch({ data: path, batchSize, epochs }), name };
}

/** Epochs of a training from random weights at 64 px. */
export const scratchEpochs = (images: number): number => Math.min(60, Math.max(5, Math.round((10 * views) / images)));

const countOf = (folders: readonly ClassFolder[]): number => folders.reduce((sum, { files }) => sum + files.length, 0);

/** A run's name from a folder's. */
function nameOf(path: string): string {
  const name = basename(resolve(path))
    .replace(/\.csv$/i, "")
    .replace(/[^\w.-]+/g, "-");
  return /\w/.test(name) ? name : "images";
}

/** Downloads the weights if they are not in the cache. A server out of reach is no reason not to train. */
export async function haveWeights(log: (line: string) => void): Promise<boolean> {
  try {
    await repositoryFiles(parseRepository(transferWeights), { log });
    return true;
  } catch (error) {
    if (!(error instanceof TrainerError) || error.code !== "ERR_DOWNLOAD") throw error;
    log("No pretrained weights: the model learns from your images alone, which needs thousands of them.");
    log(`  ${error.message}`);
    return false;
  }
}

/** What is in a folder: classes and images. */
export function description({ train, validation, test }: FolderScan): string {
  const counts = train.map(({ name, files }) => ({ name, count: files.length }));
  const shown = counts.slice(0, 10).map(({ name, count }) => `${name} ${count}`);
  const more = counts.length > shown.length ? `, and ${counts.length - shown.length} more` : "";
  const splits = [
    `${countOf(train)} training images`,
    ...(validation ? [`${countOf(validation)} for validation`] : []),
    test ? `${countOf(test)} test images` : "no test images (a tenth of the training images is used for validation)",
  ];
  return `${train.length} classes, ${splits.join(", ")}: ${shown.join(", ")}${more}.`;
}
