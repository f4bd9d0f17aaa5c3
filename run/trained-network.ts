/** The network of a finished run with one of its sets of weights, for plugins that use it beside their own. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../core/errors.js";
import type { NetworkWeights, OpenNetwork, TrainedNetwork } from "../core/loop/types.js";
import type { Weights } from "../core/nn/layer.js";
import { type CheckpointTensor, listCheckpoints, readCheckpoint } from "./checkpoints.js";
import { runFiles } from "./files.js";
import { openNetwork } from "./network.js";
import { openFolder, type RunFiles } from "./open.js";
import { isCutShort } from "./record-files.js";

/** `FitContext.openNetwork`. The backend must be loaded. */
export const openTrainedNetwork: OpenNetwork = async (folder, { weights: which, precision, warn }) => {
  const files = await openFolder(folder, {
    watch: (events) => warn && events.on("warning", ({ message }) => warn(message)),
  });
  const { stopReason } = files.summary;
  if (isCutShort(stopReason)) warn?.(`${files.folder} ended early: ${stopReason}.`);
  const {
    model,
    weights: final,
    preprocessing,
  } = openNetwork(files.trainer, files.weights, files.weightsPath, precision);
  const network = (weights: Weights, source: string): TrainedNetwork => {
    const { classes, inputSize, mean, deviation } = preprocessing;
    const sha256 = createHash("sha256").update(files.weights).update(which).digest("hex");
    return { model, weights, source, classes, inputSize, mean, deviation, sha256 };
  };
  if (which === "final") return network(final, "final");
  try {
    const { tensors, source } = fromCheckpoints(files, which);
    return network(fitting(tensors, final, `${files.folder}, ${source}`), source);
  } finally {
    for (const value of final.values()) value.dispose();
  }
};

type Values = ReadonlyMap<string, CheckpointTensor>;

/** The weights of the best or the last epoch. A run with `ema` was judged by its averages, so its best ones are averages. */
function fromCheckpoints(
  { folder, record, summary }: RunFiles,
  which: Exclude<NetworkWeights, "final">,
): { tensors: Values; source: string } {
  const refuse = (problem: string): never => {
    throw new TrainerError("ERR_DATA", `${folder} has no "${which}" weights: ${problem}. Use weights: "final".`);
  };
  const hasAverages = record.plugins.some(({ name }) => name === "ema");
  if (which === "ema" && !hasAverages) refuse('it was trained without the plugin "ema"');
  const { best } = summary;
  if (which === "best" && !best) refuse("no epoch of it was evaluated");
  const all = listCheckpoints(join(folder, runFiles.checkpoints));
  const found = which === "best" ? all.findLast(({ step }) => step === best!.step) : all.at(-1);
  const { path } = found ?? refuse("its checkpoint is gone");
  const prefix = hasAverages && which !== "last" ? "plugins/ema/" : "weights/";
  const tensors = [...readCheckpoint(path).tensors].flatMap(([name, value]): [string, CheckpointTensor][] =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
  );
  const what = which === "best" ? `best of epoch ${best!.epoch + 1}` : which === "last" ? "last" : "averaged";
  return { tensors: new Map(tensors), source: what };
}

/** Values as tensors, if they are those of this network. */
function fitting(values: Values, wanted: Weights, where: string): Weights {
  for (const [name, { shape }] of wanted) {
    const found = values.get(name);
    if (found && String(found.shape) === String(shape)) continue;
    const got = found ? `[${found.shape}]` : "none";
    throw new TrainerError("ERR_WEIGHTS", `${where}: expected [${shape}] for "${name}", got ${got}.`);
  }
  return new Map(
    [...wanted.keys()].map((name) => {
      const { data, shape } = values.get(name)!;
      return [name, tf.keep(tf.tensor(data, [...shape], "float32"))];
    }),
  );
}
