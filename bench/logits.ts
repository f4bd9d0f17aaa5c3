/**
 * EfficientNet-Lite0 with its real weights against timm, on the pixels and logits that bench/logits.py wrote:
 *
 *     npm run bench -- logits logits.safetensors tf_efficientnet_lite0.safetensors
 */
import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend, makePart, weightsFromSafetensors } from "../core/index.js";
import { efficientNetLite0 } from "../core/models/index.js";
import { forward } from "../core/nn/layer.js";
import { readSafetensors, toFloat32 } from "../core/nn/safetensors.js";

const [file, weightsFile] = process.argv.slice(2);
if (file === undefined || weightsFile === undefined) {
  throw new Error("Name two files: npm run bench -- logits logits.safetensors tf_efficientnet_lite0.safetensors");
}
const { name } = await loadBackend();
const { tensors } = readSafetensors(readFileSync(file), file);
const [pixels, expected] = [tensors.get("pixels")!, tensors.get("logits")!];
const classes = expected.shape[1]!;
const { layer } = makePart(efficientNetLite0({ stem: "imagenet" })).build({
  classes,
  inputSize: 224,
  buildBlock: (branch) => branch,
  buildHead: (head) => head,
});
const weights = weightsFromSafetensors(readFileSync(weightsFile), layer);

const [count, height, width, channels] = pixels.shape as [number, number, number, number];
const size = height * width * channels;
const theirs = toFloat32(expected)!;
let [largest, furthest, sameClass] = [0, 0, 0];
for (let at = 0; at < count; at++) {
  const ours = tf.tidy(() => {
    const bytes = Float32Array.from(pixels.data.subarray(at * size, (at + 1) * size) as Uint8Array);
    const images = tf.sub(tf.div(tf.tensor4d(bytes, [1, height, width, channels]), 127.5), 1) as tf.Tensor4D;
    return forward(layer, images, { weights }).dataSync();
  });
  const wanted = theirs.subarray(at * classes, (at + 1) * classes);
  const top = (logits: Iterable<number>): number =>
    [...logits].reduce((best, each, k, all) => (each > all[best]! ? k : best), 0);
  sameClass += Number(top(ours) === top(wanted));
  largest = Math.max(largest, ...wanted.map(Math.abs));
  furthest = Math.max(furthest, ...wanted.map((each, k) => Math.abs(each - ours[k]!)));
}
console.log(
  `${count} images on ${name}: logits differ by at most ${furthest.toExponential(1)}, which is ` +
    `${(furthest / largest).toExponential(1)} of the largest (${largest.toFixed(1)}); the same class for ${sameClass}.`,
);
