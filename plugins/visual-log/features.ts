/** Features of images: the input of the classifier's last layer. */
import * as tf from "@tensorflow/tfjs-core";
import { createLoader, type FitContext, forward, ops, spread, subset } from "../../core/index.js";

/** Feature vectors of validation images (training images without validation) and their class names. */
export async function lastFeatures(
  { data, model, inputSize, validationIndices, trainIndices }: FitContext,
  weights: ReadonlyMap<string, tf.Tensor>,
  count: number,
): Promise<{ labels: string[]; vectors: Float32Array[] }> {
  const places = spread(validationIndices.length > 0 ? validationIndices : trainIndices, count);
  const split = subset(data.train, places);
  const loader = createLoader({ ...data, split, batchSize: 64, seed: 0, shuffle: false });
  const labels: string[] = [];
  const vectors: Float32Array[] = [];
  for await (const batch of loader.epoch(0)) {
    const features = tf.tidy(() => {
      const images = tf.tensor4d(batch.images, [batch.size, data.height, data.width, 3]);
      const flat: tf.Tensor[] = []; // outputs of rank 2, in order; the classifier's is the last
      forward(model.layer, ops.resize(images, inputSize, inputSize), {
        weights,
        observe(_, output) {
          if (output.rank === 2) flat.push(output);
          return output;
        },
      });
      // Every network passes its features through the head that plugins may build, right before the classifier.
      if (flat.length < 2) throw new Error("The network has no features before its classifier.");
      return flat.at(-2)!.arraySync() as number[][];
    });
    features.forEach((vector, row) => {
      vectors.push(Float32Array.from(vector));
      labels.push(data.classes[batch.labels[row]!]!);
    });
  }
  return { labels, vectors };
}
