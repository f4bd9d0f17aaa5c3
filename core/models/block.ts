/** What the residual networks share: a block whose branch plugins may extend. */
import type * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import { type Layer, type Pass, run } from "../nn/layer.js";

type Parts = Readonly<Record<string, Layer>>;

/**
 * The names of a block: its own parts around those of its branch, all in one namespace, because PyTorch knows
 * no branch ("layer1.0.conv1", "layer1.0.downsample.0"). The block runs its branch with its own pass.
 *
 * @throws TrainerError ERR_COMPOSITION if a plugin gave the branch a name that the block uses
 */
export function blockNames(branch: Layer, { before = {}, after = {} }: { before?: Parts; after?: Parts }) {
  for (const name of [...Object.keys(before), ...Object.keys(after)]) {
    if (branch.parts?.[name] || branch.parameters?.[name] || branch.buffers?.[name]) {
      throw new TrainerError(
        "ERR_COMPOSITION",
        `A buildBlock tap added a part named "${name}", which the block already has. Choose another name.`,
      );
    }
  }
  return {
    parameters: branch.parameters,
    buffers: branch.buffers,
    parts: { ...before, ...branch.parts, ...after },
  } satisfies Partial<Layer>;
}

/** Runs parts one after another. */
export function runAll(layer: Layer, names: readonly string[], x: tf.Tensor, pass: Pass): tf.Tensor {
  return names.reduce((y, name) => run(layer, name, y, pass), x);
}
