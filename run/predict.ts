/** Answers of a run's network to images, in batches. */
import type { Image } from "../core/data/dataset.js";
import { TrainerError } from "../core/errors.js";
import { classify, type ImageSource, type Network, readImage } from "./network.js";

/** One answer. */
export interface Prediction {
  readonly class: string;
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number;
}

export interface PredictOptions {
  /** How many classes, the best first. Default: all. */
  top?: number;
  /** Images in a batch. Default: as many as the run was trained with. */
  batchSize?: number;
}

/** The answer to one image, or why there is none. */
export type Answer<S extends ImageSource = ImageSource> =
  | { readonly image: S; readonly predictions: readonly Prediction[] }
  | { readonly image: S; readonly error: TrainerError };

/**
 * Answers in the order of the images. While the network works on one batch, the next is decoded.
 *
 * @param network asked before each batch
 */
export async function* answers<S extends ImageSource>(
  network: () => Network,
  images: readonly S[],
  { batchSize, top }: PredictOptions & { batchSize: number },
): AsyncGenerator<Answer<S>, void, void> {
  for (const [name, value] of Object.entries({ batchSize, top })) {
    if (value === undefined || (Number.isInteger(value) && value > 0)) continue;
    throw new TrainerError("ERR_OPTION", `"${name}" of predict: expected a whole number from 1, got ${value}.`);
  }
  const { preprocessing } = network();
  const batchAt = (from: number): Promise<(Image | TrainerError)[]> | undefined =>
    from < images.length
      ? readAll(images.slice(from, from + batchSize), (source) => readImage(source, preprocessing))
      : undefined;
  let next = batchAt(0);
  for (let from = 0; next; from += batchSize) {
    const batch = await next;
    next = batchAt(from + batchSize);
    next?.catch(() => {}); // reported when its batch is due
    const readable = batch.filter((each): each is Image => !(each instanceof TrainerError));
    const rows = readable.length > 0 ? ranked(classify(network(), readable), preprocessing.classes, top) : [];
    let row = 0;
    for (const [at, each] of batch.entries()) {
      const image = images[from + at]!;
      yield each instanceof TrainerError ? { image, error: each } : { image, predictions: rows[row++]! };
    }
  }
}

/** The images of a batch. Those that fail are read again alone: the library mixes messages of images decoded at once. */
async function readAll(
  sources: readonly ImageSource[],
  read: (source: ImageSource) => Promise<Image>,
): Promise<(Image | TrainerError)[]> {
  const orError = (source: ImageSource): Promise<Image | TrainerError> =>
    read(source).catch((error: unknown) => {
      if (error instanceof TrainerError) return error;
      throw error;
    });
  const all = await Promise.all(sources.map(orError));
  if (all.length > 1) {
    for (const [at, each] of all.entries()) if (each instanceof TrainerError) all[at] = await orError(sources[at]!);
  }
  return all;
}

/** Rows of probabilities as answers, the best first; equal ones in the order of the classes. */
function ranked(probabilities: Float32Array, classes: readonly string[], top = classes.length): Prediction[][] {
  return Array.from({ length: probabilities.length / classes.length }, (_, row) =>
    classes
      .map((name, at) => ({ class: name, probability: probabilities[row * classes.length + at]! }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top),
  );
}
