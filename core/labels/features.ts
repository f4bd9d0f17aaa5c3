/** What a pretrained EfficientNet-Lite0 sees in images: the values before its classifier. */
import * as tf from "@tensorflow/tfjs-core";
import { openDecoder } from "../data/decode.js";
import { createLoader } from "../data/loader.js";
import { efficientNetLite0 } from "../models/efficientnet.js";
import { forward, type Layer } from "../nn/layer.js";
import { makePart } from "../parts.js";
import { firstWeights } from "../pretrained/choose.js";
import { fileSplit } from "./files.js";
import type { Features } from "./linear-probe.js";

/** As timm's `tf_efficientnet_lite0.in1k` saw images, without its crop to 0.875: the edge belongs to what is judged. */
const images = { size: 224, crop: 1, interpolation: "bicubic" } as const;
const statistics = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] } as const;

/**
 * The features of files, 1280 an image. The backend must be loaded.
 *
 * @param weights a safetensors file of the network, and its name for messages
 * @throws TrainerError ERR_WEIGHTS for weights of another network
 */
export async function pretrainedFeatures(
  files: readonly string[],
  weights: { readonly bytes: Uint8Array; readonly where: string },
  log: (line: string) => void = () => {},
): Promise<Features> {
  const seen: Float32Array[] = [];
  const recording: Layer = {
    kind: "recording",
    forward: (x) => {
      seen.push(x.dataSync() as Float32Array);
      return x;
    },
  };
  const { layer, stages } = makePart(efficientNetLite0({ stem: "imagenet" })).build({
    classes: 2,
    inputSize: images.size,
    buildBlock: (branch) => branch,
    buildHead: () => recording,
  });
  const { weights: own } = firstWeights(weights.bytes, { layer, stages }, { where: weights.where, newHead: true });
  own.set("classifier.weight", tf.zeros([1280, 2]));
  own.set("classifier.bias", tf.zeros([2]));
  const { batchesInEpoch, epoch } = createLoader({
    split: fileSplit(files, new Int32Array(files.length), { decoder: await openDecoder(images), size: images.size }),
    height: images.size,
    width: images.size,
    ...statistics,
    batchSize: 32,
    seed: 0,
    shuffle: false,
  });
  try {
    for await (const batch of epoch(0)) {
      tf.tidy(() => {
        const x = tf.tensor4d(batch.images, [batch.size, images.size, images.size, 3]);
        forward(layer, x, { weights: own });
      });
      const done = batch.batchInEpoch + 1;
      if (done % 25 === 0 || done === batchesInEpoch)
        log(`features: ${32 * (done - 1) + batch.size} of ${files.length} images`);
    }
  } finally {
    for (const value of own.values()) value.dispose();
  }
  const size = seen[0]!.length / Math.min(32, files.length);
  const values = new Float32Array(files.length * size);
  seen.forEach((rows, at) => values.set(rows, at * 32 * size));
  return { values, size };
}
