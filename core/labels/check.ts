/** Labels that a model trained without the image contradicts: what `trainer data check --labels` adds to a folder's issues. */
import type { TrainerConfig } from "../config/config.js";
import type { FolderIssue, Seen } from "../data/inspect.js";
import { doubtedLabels } from "./confident-learning.js";
import { trainOutOfFold } from "./cross-training.js";
import { pretrainedFeatures } from "./features.js";
import { stratifiedFolds } from "./folds.js";
import { probeOutOfFold } from "./linear-probe.js";

export interface LabelCheckOptions {
  /** Absolute paths of the images, in their order. */
  readonly files: readonly string[];
  readonly classes: readonly string[];
  /** What judges: a linear probe on the features of these weights (EfficientNet-Lite0), or a training of this config per fold. */
  readonly judge:
    | { readonly weights: { readonly bytes: Uint8Array; readonly where: string } }
    | { readonly config: TrainerConfig; readonly size: number };
  readonly folds: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/** An issue for each doubted label, the least credible first. The backend must be loaded. */
export async function labelIssues(
  images: readonly Seen[],
  { files, classes, judge, folds: count, seed, log = () => {} }: LabelCheckOptions,
): Promise<FolderIssue[]> {
  const labels = Int32Array.from(images, ({ class: name }) => classes.indexOf(name));
  const folds = stratifiedFolds(labels, { count, seed, contents: images.map(({ sha256 }) => sha256) });
  let probabilities: Float32Array;
  if ("weights" in judge) {
    const features = await pretrainedFeatures(files, judge.weights, log);
    const probe = probeOutOfFold(features, labels, { folds, classes: classes.length });
    ({ probabilities } = probe);
  } else probabilities = await trainOutOfFold(files, labels, { ...judge, folds, classes, log });
  const { doubted, quality, suggested } = doubtedLabels({ probabilities, labels, classes: classes.length });
  const right = suggested.reduce((sum, label, row) => sum + Number(label === labels[row]), 0);
  log(`out of fold, ${((100 * right) / labels.length).toFixed(1)} % of the labels are predicted`);
  return Array.from(doubted, (row): FolderIssue => {
    const { file, split, class: name } = images[row]!;
    const other = suggested[row]!;
    const share = probabilities[row * classes.length + other]!;
    return {
      kind: "doubted label",
      file,
      split,
      class: name,
      detail: `suggested: ${classes[other]} (${share.toFixed(2)}); score of ${name}: ${quality[row]!.toFixed(2)}`,
      suggested: classes[other]!,
      score: quality[row]!,
      exclude: false,
    };
  });
}
