/** Squeeze-and-excitation (Hu et al. 2018): channels are weighed by what the whole image shows. */
import * as tf from "@tensorflow/tfjs-core";
import { type Layer, run } from "./layer.js";
import { conv2d } from "./layers.js";
import * as ops from "./ops.js";

export interface SqueezeExciteOptions {
  channels: number;
  /** Channels in the middle; the paper's reduction 16 is `channels / 16`. */
  squeezed: number;
  activation?: (x: tf.Tensor) => tf.Tensor;
  /** Default: the sigmoid. */
  gate?: (x: tf.Tensor) => tf.Tensor;
  /** Names of the two layers: timm's are "fc1" and "fc2" in a ResNet, others in an EfficientNet. */
  names?: readonly [reduce: string, expand: string];
}

/**
 * x * gate(expand(activation(reduce(mean of x)))), both with a bias: [batch, height, width, channels] to
 * the same. The two layers are 1 x 1 convolutions, as in PyTorch, so that weights keep their shapes there.
 */
export function squeezeExcite(options: SqueezeExciteOptions): Layer {
  const { channels, squeezed, activation = ops.relu, gate = tf.sigmoid } = options;
  const { names: [reduce, expand] = ["fc1", "fc2"] } = options;
  const layer: Layer = {
    kind: "squeeze-excite",
    parts: {
      [reduce]: conv2d({ in: channels, out: squeezed, kernel: 1, bias: true }),
      [expand]: conv2d({ in: squeezed, out: channels, kernel: 1, bias: true }),
    },
    forward(x, pass) {
      const mean = tf.reshape(ops.globalAveragePool(x), [x.shape[0]!, 1, 1, channels]);
      const middle = activation(run(layer, reduce, mean, pass));
      return tf.mul(x, gate(run(layer, expand, middle, pass)));
    },
  };
  return layer;
}
