/** Grad-CAM (Selvaraju et al. 2017): the regions of a feature map that support a class. */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { forward } from "../nn/layer.js";
import type { Model } from "../nn/model.js";
import { resize } from "../nn/ops.js";
import { suggestion } from "../options.js";

export interface GradCamOptions {
  model: Model;
  weights: ReadonlyMap<string, tf.Tensor>;
  /** [batch, height, width, 3], normalised. */
  images: tf.Tensor4D;
  /** [batch], the class that each map explains; default: the one with the largest logit. */
  classes?: ArrayLike<number>;
  /** Full name of the layer to look at; the model's `features` when left out. */
  layer?: string;
  /** Height and width of `upsampled`; those of `images` when left out. */
  size?: readonly [height: number, width: number];
}

/** The caller disposes of the tensors. */
export interface GradCam {
  /** [batch], the class that each map explains. */
  readonly classes: Int32Array;
  /** [batch, classes] */
  readonly logits: tf.Tensor2D;
  /** [batch, h, w], at the layer's own size: relu of channels weighted by mean gradient, not normalised. */
  readonly raw: tf.Tensor3D;
  /** [batch, h, w], each map in [0, 1]; all zeros where nothing supports the class. */
  readonly maps: tf.Tensor3D;
  /** [batch, height, width], `maps` at the images' size (or `size`), bilinear. */
  readonly upsampled: tf.Tensor3D;
}

const epsilon = 1e-7;

/**
 * Heat maps of a class. Two forward passes and a backward pass from the logits to the
 * layer, all in evaluation mode: running statistics are read and not moved, dropout is off.
 *
 * The gradient is that of the logit, not of the probability, which would mix in the evidence for other
 * classes. An image's logit depends on no other image (norms use running statistics), so one gradient
 * serves the whole batch.
 *
 * @throws TrainerError ERR_UNKNOWN_NAME for a layer that is not there, ERR_OPTION for one without a map or a
 *   class that is not there
 */
export function gradCam(options: GradCamOptions): GradCam {
  const { model, weights, images, layer = model.features } = options;
  const [height, width] = options.size ?? [images.shape[1], images.shape[2]];
  let classes!: Int32Array;
  const tensors = tf.tidy(() => {
    const paths: string[] = [];
    let activation: tf.Tensor | undefined;
    const logits = forward(model.layer, images, {
      weights,
      observe(path, output) {
        paths.push(path);
        if (path === layer) activation = output;
        return output;
      },
    }) as tf.Tensor2D;
    const map = featureMap(activation, layer, paths);
    classes = checkClasses(options.classes ?? largest(logits), logits.shape);
    const oneHot = tf.oneHot(tf.tensor1d(classes, "int32"), logits.shape[1]).toFloat();

    // The rest of the network as a function of the layer's output, swapped in where the layer gives its own.
    const score = (from: tf.Tensor): tf.Tensor => {
      const observe = (path: string, output: tf.Tensor): tf.Tensor => (path === layer ? from : output);
      return tf.sum(tf.mul(forward(model.layer, images, { weights, observe }), oneHot));
    };
    const gradient = tf.grad(score)(map);
    const importance = tf.mean(gradient, [1, 2], true);
    const raw = tf.relu(tf.sum(tf.mul(map, importance), 3)) as tf.Tensor3D;
    const [low, high] = [tf.min(raw, [1, 2], true), tf.max(raw, [1, 2], true)];
    const maps = tf.div(tf.sub(raw, low), tf.add(tf.sub(high, low), epsilon)) as tf.Tensor3D;
    const upsampled = tf.squeeze(resize(tf.expandDims(maps, 3), height, width), [3]) as tf.Tensor3D;
    return { logits, raw, maps, upsampled };
  });
  return { classes, ...tensors };
}

function featureMap(activation: tf.Tensor | undefined, layer: string, paths: readonly string[]): tf.Tensor4D {
  if (!activation) {
    const text = `The model has no layer "${layer}"${suggestion(layer, paths)}.`;
    throw new TrainerError("ERR_UNKNOWN_NAME", text);
  }
  if (activation.rank === 4) return activation as tf.Tensor4D;
  throw new TrainerError(
    "ERR_OPTION",
    `Grad-CAM expected a layer with output [batch, height, width, channels], but layer "${layer}" has [${activation.shape}]. ` +
      "Name a layer before the pooling.",
  );
}

function largest(logits: tf.Tensor2D): ArrayLike<number> {
  return tf.argMax(logits, 1).dataSync();
}

function checkClasses(classes: ArrayLike<number>, [batch, count]: [number, number]): Int32Array {
  const list = Array.from(classes);
  const wrong = list.find((label) => !Number.isInteger(label) || label < 0 || label >= count);
  if (list.length === batch && wrong === undefined) return Int32Array.from(list);
  throw new TrainerError(
    "ERR_OPTION",
    wrong === undefined
      ? `Grad-CAM expected ${batch} classes, one per image, got ${list.length}.`
      : `Grad-CAM expected classes from 0 to ${count - 1}, got ${wrong}.`,
  );
}
