/** `fitloop/data`: data sets, what they promise, and how they reach the loop. */

import { TrainerError } from "../errors.js";
import { suggestion } from "../options.js";
import type { Part } from "../parts.js";
import { cifar10, cifar100 } from "./cifar.js";
import type { DataSource } from "./dataset.js";
import { imageFolder } from "./image-folder.js";
import { shapes } from "./shapes.js";

export { type CifarOptions, cifar10, cifar100 } from "./cifar.js";
export type {
  Box,
  Data,
  DataSource,
  Decoding,
  Image,
  Interpolation,
  LoadContext,
  Rectangle,
  Sample,
  Size,
  SourceImage,
  Split,
} from "./dataset.js";
export { limit, stratifiedHoldout, subset } from "./holdout.js";
export { type ImageFolderOptions, imageFolder, imageNetStatistics } from "./image-folder.js";
export { memorySplit, type PixelBlock } from "./in-memory.js";
export { createLoader, type Loader, type LoaderOptions, type RawBatch } from "./loader.js";
export { type ShapesOptions, shapes } from "./shapes.js";
export { formatVerify, type VerifyReport, verifyData } from "./verify.js";

/** Factories by the `name` of what they make. */
export const dataSets: Readonly<Record<string, (options: never) => Part<DataSource>>> = {
  cifar10,
  cifar100,
  imageFolder,
  shapes,
};

/**
 * A built-in data set from the name and options in a run's record.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME for a name that is not built in; ERR_OPTION for options it does not
 * take
 */
export function dataSource(name: string, options: Readonly<Record<string, unknown>>): Part<DataSource> {
  if (Object.hasOwn(dataSets, name)) return dataSets[name]!(options as never);
  throw new TrainerError(
    "ERR_UNKNOWN_NAME",
    `No data set is called "${name}"${suggestion(name, Object.keys(dataSets))}.`,
  );
}
