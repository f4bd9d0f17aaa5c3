/**
 * From a split to normalised batches.
 *
 * The order of an epoch is a function of (seed, epoch) alone, so a run that begins in the middle of an epoch
 * sees the batches it would have seen. Reading is one batch ahead: files decode in libuv's threads while a
 * training step blocks this one. Two batches of bytes and the yielded batch are all the memory it takes.
 */

import { TrainerError } from "../errors.js";
import { alone, type Group, rowsOf } from "../group/group.js";
import { resizeRegion } from "../image/resize.js";
import { stream } from "../rng.js";
import type { Data, Image, Rectangle, Sample, SourceImage, Split } from "./dataset.js";
import { normalise, normalisingTable } from "./normalise.js";

export interface RawBatch {
  /** [size, height, width, 3], normalised. Its own memory: the consumer may keep it. */
  readonly images: Float32Array;
  /** [size] */
  readonly labels: Int32Array;
  /** [size], places in the split. */
  readonly indices: Int32Array;
  readonly size: number;
  /** The batch in all processes of the group: its places in the split, and which of them comes first here. */
  readonly whole: { readonly indices: Int32Array; readonly from: number };
  /** This process' part of the batch's images; its mean is weighted by it. */
  readonly share: number;
  readonly epoch: number;
  readonly batchInEpoch: number;
  readonly batchesInEpoch: number;
}

export interface LoaderOptions extends Pick<Data, "height" | "width" | "mean" | "deviation"> {
  split: Split;
  batchSize: number;
  seed: number;
  /** True for training: an order drawn from (seed, epoch). False for evaluation: the split's own order. */
  shuffle: boolean;
  /** The order of an epoch of training; begins as a permutation drawn from (seed, epoch). As many places. */
  order?: (order: Int32Array, labels: ArrayLike<number>, epoch: number) => Int32Array;
  /** The region of a stored image that is read and scaled to the data's size. Left out: what `split.read` gives. */
  region?: (whole: Rectangle, source: SourceImage, epoch: number) => Rectangle;
  /** Augmentation of one sample; its draws should be keyed by (epoch, sample.index). Must keep the size. */
  transform?: (sample: Sample, epoch: number) => Sample;
  /** Leave out a last batch that is not full. Default: false. */
  dropLast?: boolean;
  /** Each process reads its share of every batch. Default: this one alone. */
  group?: Pick<Group, "rank" | "size">;
}

export interface Loader {
  readonly batchesInEpoch: number;
  /** Images in an epoch. */
  readonly images: number;
  /** The batches of an epoch from `startBatch` (default 0) on: all of them, or every so many. */
  epoch(epoch: number, startBatch?: number, every?: number): AsyncGenerator<RawBatch, void, void>;
}

/**
 * @throws TrainerError ERR_OPTION for a batch size that gives no batch; while iterating, ERR_DATA for
 * an image that cannot be read and ERR_PLUGIN for a transform that changes the size
 */
export function createLoader(options: LoaderOptions): Loader {
  const { split, height, width, batchSize, seed, shuffle, transform, dropLast = false, group = alone } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new TrainerError("ERR_OPTION", `expected a whole number from 1 as batch size, got ${batchSize}.`);
  }
  const batchesInEpoch = dropLast ? Math.floor(split.length / batchSize) : Math.ceil(split.length / batchSize);
  if (batchesInEpoch === 0) {
    const dropped = dropLast ? " when the last one is dropped" : "";
    throw new TrainerError(
      "ERR_OPTION",
      `expected at least one batch of ${batchSize} images, got ${split.length} images${dropped}.`,
    );
  }
  const imageValues = height * width * 3;
  const table = normalisingTable(options);

  function orderOf(epoch: number): Int32Array {
    if (shuffle) {
      const order = stream(seed, "loader", epoch).permutation(split.length);
      return options.order?.(order, split.labels, epoch) ?? order;
    }
    return Int32Array.from({ length: split.length }, (_, place) => place);
  }

  function assemble(
    decoded: readonly Image[],
    { indices, ...where }: Pick<RawBatch, "indices" | "whole" | "share" | "epoch" | "batchInEpoch">,
  ): RawBatch {
    const { epoch } = where;
    const size = indices.length;
    if (decoded.length !== size) {
      throw new TrainerError("ERR_DATA", `The data set: expected ${size} images from read, got ${decoded.length}.`);
    }
    const images = new Float32Array(size * imageValues);
    const labels = new Int32Array(size);
    for (let n = 0; n < size; n++) {
      const index = indices[n]!;
      const { pixels, height: h, width: w } = decoded[n]!;
      let sample: Sample = { pixels, height: h, width: w, label: split.labels[index]!, index };
      checkSize(sample, options, () => `The data set's image ${split.describe(index)}`, "ERR_DATA");
      if (transform) {
        sample = transform(sample, epoch);
        checkSize(sample, options, () => `Image ${split.describe(index)} after beforeSample`, "ERR_PLUGIN");
      }
      labels[n] = sample.label;
      normalise(sample.pixels, table, images, n * imageValues);
    }
    return { images, labels, indices, size, batchesInEpoch, ...where };
  }

  async function* epochFrom(epoch: number, startBatch = 0, every = 1): AsyncGenerator<RawBatch, void, void> {
    if (!Number.isInteger(startBatch) || startBatch < 0 || startBatch > batchesInEpoch) {
      throw new TrainerError(
        "ERR_OPTION",
        `An epoch of ${batchesInEpoch} batches cannot start at batch ${startBatch}.`,
      );
    }
    const order = orderOf(epoch);
    const placeOf = (batchInEpoch: number) => {
      const whole = order.slice(batchInEpoch * batchSize, (batchInEpoch + 1) * batchSize);
      const [from, to] = rowsOf(whole.length, group);
      // More processes than images: one without a share computes on an image that counts nothing.
      const indices = whole.slice(from, Math.max(to, from + 1));
      return { indices, whole: { indices: whole, from }, share: (to - from) / whole.length, epoch, batchInEpoch };
    };
    async function read(batch: number): Promise<readonly Image[]> {
      return readImages(options, placeOf(batch).indices, epoch);
    }
    let ahead = startBatch < batchesInEpoch ? read(startBatch) : undefined;
    for (let batch = startBatch; ahead; batch += every) {
      const images = await ahead;
      ahead = batch + every < batchesInEpoch ? read(batch + every) : undefined;
      ahead?.catch(() => {}); // reported when its batch is due, or never if the consumer leaves before
      yield assemble(images, placeOf(batch));
    }
  }

  const images = dropLast ? batchesInEpoch * batchSize : split.length;
  return { batchesInEpoch, images, epoch: epochFrom };
}

/** Images at the data's size: whole, or the region of each that `region` chooses. */
async function readImages(
  { split, region, height, width }: LoaderOptions,
  indices: Int32Array,
  epoch: number,
): Promise<readonly Image[]> {
  if (!region) return split.read(indices);
  const choose = (at: number, stored: Pick<Image, "height" | "width">): Rectangle => {
    const index = indices[at]!;
    const source = { height: stored.height, width: stored.width, label: split.labels[index]!, index };
    return region(centreSquare(stored), source, epoch);
  };
  if (split.readRegions) return split.readRegions(indices, choose);
  const images = await split.read(indices);
  return images.map((image, at) => resizeRegion(image, choose(at, image), { height, width }));
}

/** The largest square in the middle. */
export function centreSquare({ height, width }: Pick<Image, "height" | "width">): Rectangle {
  const side = Math.min(height, width);
  return { top: Math.round((height - side) / 2), left: Math.round((width - side) / 2), height: side, width: side };
}

function checkSize(
  sample: Sample,
  { height, width }: Pick<Data, "height" | "width">,
  what: () => string,
  code: "ERR_DATA" | "ERR_PLUGIN",
): void {
  const found = sample?.pixels instanceof Uint8Array ? `${sample.height} x ${sample.width}` : "no image";
  const bytes = sample?.pixels?.length;
  if (found === `${height} x ${width}` && bytes === height * width * 3) return;
  const detail = bytes === undefined ? "" : ` with ${bytes} bytes`;
  throw new TrainerError(
    code,
    `${what()} is ${found}${detail}, expected ${height} x ${width} with ${height * width * 3} bytes of RGB.`,
  );
}
