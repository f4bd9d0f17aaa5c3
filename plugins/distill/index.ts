/** Knowledge distillation (Hinton, Vinyals and Dean 2015): a trained network's probabilities are targets beside the labels. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { definePlugin, type FitContext, forward, ops, type TrainedNetwork, TrainerError } from "../../core/index.js";

const options = z.strictObject({
  teacher: z.string().describe("folder of a finished run with the same classes and image size"),
  weights: z
    .enum(["final", "best", "last", "ema"])
    .default("final")
    .describe(
      "which of its weights: what it ended with, of its best or last epoch, or the averages of ema in its last checkpoint",
    ),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe("share of the teacher in the loss; the rest is that of the labels"),
  temperature: z.number().positive().default(4).describe("divides the logits of both before softmax"),
});

/** softmax(z / T). */
export const softened = (logits: tf.Tensor, temperature: number): tf.Tensor => tf.softmax(tf.div(logits, temperature));

/** Mean over the batch of Σ p log p, the negative entropy of its rows; 0 log 0 is 0, and 1e-37 is no subnormal. */
export const negativeEntropy = (p: tf.Tensor): tf.Tensor =>
  tf.div(tf.sum(tf.mul(p, tf.log(tf.maximum(p, 1e-37)))), p.shape[0]!);

/**
 * (1 - a) L + a T² KL(p, softmax(z / T)): the loss of the labels L, and how far the student's softened distribution is from the
 * teacher's p. T² makes up for gradients that are smaller by it (Hinton 2015, section 2).
 */
export function distilled(
  loss: tf.Tensor,
  logits: tf.Tensor,
  { targets, entropy }: { readonly targets: tf.Tensor; readonly entropy: tf.Tensor },
  { alpha, temperature }: { readonly alpha: number; readonly temperature: number },
): tf.Scalar {
  const crossEntropy = ops.softCrossEntropy(tf.mul(logits, 1 / temperature), targets);
  const divergence = tf.add(crossEntropy, entropy);
  return tf.add(tf.mul(loss, 1 - alpha), tf.mul(divergence, alpha * temperature ** 2));
}

/** Images normalised by one run's statistics, as another's normalise them: the very tensor where both are the same. */
export function renormalised(
  images: tf.Tensor4D,
  from: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
  to: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
): tf.Tensor4D {
  if (String([from.mean, from.deviation]) === String([to.mean, to.deviation])) return images;
  const scale = to.deviation.map((each, channel) => from.deviation[channel]! / each);
  const shift = to.deviation.map((each, channel) => (from.mean[channel]! - to.mean[channel]!) / each);
  return tf.add(tf.mul(images, scale), shift);
}

/** @throws TrainerError ERR_DATA for a teacher of other classes or another image size */
export function mustFit(teacher: TrainedNetwork, { data, inputSize }: FitContext, folder: string): void {
  const refuse = (expected: string, got: string): never => {
    throw new TrainerError(
      "ERR_DATA",
      `The teacher ${folder} does not fit this run: expected ${expected}, got ${got}.`,
    );
  };
  const { classes } = data;
  if (teacher.classes.length !== classes.length) refuse(`${classes.length} classes`, `${teacher.classes.length}`);
  const place = classes.findIndex((name, index) => name !== teacher.classes[index]);
  if (place >= 0) refuse(`"${classes[place]}" as class ${place + 1}`, `"${teacher.classes[place]}"`);
  if (teacher.inputSize !== inputSize)
    refuse(`a network for images of ${inputSize} px`, `one for ${teacher.inputSize} px`);
}

export const distill = definePlugin({
  name: "distill",
  summary: "Knowledge distillation: learns from another run's probabilities beside the labels",
  options,
  async checkFiles({ teacher, alpha }, checks) {
    if (alpha > 0) await checks.run(teacher);
  },
  apply({ teacher: folder, weights, ...share }, { hooks, events }) {
    let teacher: TrainedNetwork | undefined;
    let known: string | undefined; // the hash of the teacher that the run began with
    let own: Pick<FitContext["data"], "mean" | "deviation">;
    const off = share.alpha === 0;

    hooks.onFitStart.tap(async (run) => {
      if (off) return;
      own = run.data;
      const warn = (message: string): void => events.emit("warning", { message: `distill: ${message}` });
      teacher = await run.openNetwork(folder, { weights, precision: run.config.precision, warn });
      mustFit(teacher, run, folder);
      if (known !== undefined && known !== teacher.sha256) {
        const text = `The teacher ${folder} has other weights than when this run began. Restore them, or start a new run.`;
        throw new TrainerError("ERR_RESUME", text);
      }
      known = teacher.sha256;
    });
    // Last: the teacher sees what the student sees, mixed and resized.
    hooks.beforeBatch.tap({ stage: "last" }, (batch) => {
      if (off) return batch;
      const { model, weights: values, inputSize, ...normalised } = teacher!;
      const [targets, entropy] = tf.tidy(() => {
        const images = renormalised(batch.images, own, normalised);
        const sized = ops.resize(images, inputSize, inputSize);
        const p = softened(forward(model.layer, sized, { weights: values }), share.temperature);
        return [p, negativeEntropy(p)];
      });
      return { ...batch, more: { ...batch.more, "distill/targets": targets!, "distill/entropy": entropy! } };
    });
    // Early: what other plugins add to the loss, such as a penalty, keeps its weight.
    hooks.afterLoss.tap({ stage: "early", pure: true }, (loss, { logits, batch }) => {
      if (off) return loss;
      const { "distill/targets": targets, "distill/entropy": entropy } = batch!.more!;
      return distilled(loss, logits!, { targets: targets!, entropy: entropy! }, share);
    });
    return {
      save: () => ({ values: { teacher: known ?? null } }),
      load: ({ values }) => void (known = (values as { teacher: string | null }).teacher ?? undefined),
      dispose() {
        for (const value of teacher?.weights.values() ?? []) value.dispose();
        teacher = undefined;
      },
    };
  },
});
