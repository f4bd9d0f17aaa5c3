/**
 * Numbers rounded as int8 will hold them, with a gradient that does not see the rounding (the straight-through estimator, Bengio
 * et al. 2013; Jacob et al. 2018).
 */
import * as tf from "@tensorflow/tfjs-core";
import { type NativeBackend, onTensorflow } from "./native-kernel.js";

const levels = 255;

/** The operation has no type attribute, which `execute` would add. */
function executeFakeQuant(backend: NativeBackend, name: string, inputs: tf.TensorInfo[], outputs: number): tf.Tensor[] {
  const { TF_ATTR_INT, TF_ATTR_BOOL } = backend.binding;
  const attributes = [
    { name: "num_bits", type: TF_ATTR_INT, value: 8 },
    { name: "narrow_range", type: TF_ATTR_BOOL, value: false },
  ];
  return backend.executeMultipleOutputs(name, attributes, inputs, outputs);
}

/** The scalars of a range [low, high]. */
const ends = (range: tf.Tensor): [tf.Tensor, tf.Tensor] => tf.unstack(range) as [tf.Tensor, tf.Tensor];

function rounded(x: tf.Tensor, range: tf.Tensor): tf.Tensor {
  const [low, high] = ends(range);
  if (onTensorflow()) {
    const backend = tf.backend() as unknown as NativeBackend;
    return executeFakeQuant(backend, "FakeQuantWithMinMaxVars", [x, low, high], 1)[0]!;
  }
  const { scale, least, most } = levelsOf(range);
  const clipped = tf.minimum(tf.maximum(x, least), most);
  return tf.mul(tf.floor(tf.add(tf.div(clipped, scale), 0.5)), scale);
}

function roundedGradient(dy: tf.Tensor, x: tf.Tensor, range: tf.Tensor): tf.Tensor {
  const [low, high] = ends(range);
  if (onTensorflow()) {
    const backend = tf.backend() as unknown as NativeBackend;
    return executeFakeQuant(backend, "FakeQuantWithMinMaxVarsGradient", [dy, x, low, high], 3)[0]!;
  }
  const { least, most } = levelsOf(range);
  return tf.mul(dy, tf.cast(tf.logicalAnd(tf.greaterEqual(x, least), tf.lessEqual(x, most)), "float32"));
}

/** The distance of two levels, and the outer ones. */
function levelsOf(range: tf.Tensor): { scale: tf.Tensor; least: tf.Tensor; most: tf.Tensor } {
  const [low, high] = ends(range);
  const scale = tf.maximum(tf.div(tf.sub(high, low), levels), 1e-8);
  const zero = tf.clipByValue(tf.round(tf.div(tf.neg(low), scale)), 0, levels);
  return { scale, least: tf.mul(tf.neg(zero), scale), most: tf.mul(tf.sub(levels, zero), scale) };
}

/**
 * x rounded to 256 levels of a range, moved so that zero is one of them: the levels of LiteRT's int8. Numbers outside become the
 * nearest level. The gradient is that of the output within the levels, and zero outside (PyTorch lets it through for another
 * half level). None flows to the range.
 *
 * @param rangeOf gives [low, high] with zero between; it may look at x
 */
export function fakeQuantize(x: tf.Tensor, rangeOf: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  // Inside of a gradient of our own nothing is taped, and so the range is a constant.
  const round = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const range = rangeOf(input);
    save([input, range]);
    return {
      value: rounded(input, range),
      gradFunc: (dy, saved) => {
        const [seen, found] = saved as [tf.Tensor, tf.Tensor];
        return roundedGradient(dy, seen, found);
      },
    };
  });
  return round(x);
}

/**
 * A filter rounded to [-127, 127] · scale with a scale for each output channel, the last axis, or for each channel of a depthwise
 * filter [height, width, channels, 1]. Every number is within its levels, so the gradient is that of the output.
 */
export function fakeQuantizeFilter(weight: tf.Tensor, { depthwise = false } = {}): tf.Tensor {
  const channels = depthwise ? 2 : weight.rank - 1;
  const others = weight.shape.flatMap((_, axis) => (axis === channels ? [] : [axis]));
  const rounded = tf.customGrad((...args) => {
    const [input] = args as [tf.Tensor];
    const largest = tf.max(tf.abs(input), others, true);
    const scale = tf.where(tf.greater(largest, 0), tf.div(largest, 127), tf.onesLike(largest));
    return { value: tf.mul(tf.round(tf.div(input, scale)), scale), gradFunc: (dy) => dy.clone() };
  });
  return rounded(weight);
}
