/** Out-of-fold answers by training: one whole run a fold, for images without pretrained weights. */
import type { TrainerConfig } from "../config/config.js";
import type { DataSource } from "../data/dataset.js";
import { openDecoder } from "../data/decode.js";
import { subset } from "../data/holdout.js";
import { imageNetStatistics } from "../data/image-folder.js";
import type { Plugin } from "../loop/plugin.js";
import { Trainer } from "../loop/trainer.js";
import type { Outputs } from "../loop/types.js";
import { fileSplit } from "./files.js";

/**
 * Out-of-fold probabilities [images, classes] by networks that are trained as the config says, on the other folds.
 *
 * @param config its data set is replaced by the files
 */
export async function trainOutOfFold(
  files: readonly string[],
  labels: Int32Array,
  {
    config,
    size,
    folds,
    classes,
    log = () => {},
  }: {
    config: TrainerConfig;
    /** Side of the images in pixels. */
    size: number;
    folds: Int32Array;
    classes: readonly string[];
    log?: (line: string) => void;
  },
): Promise<Float32Array> {
  const all = fileSplit(files, labels, { decoder: await openDecoder(), size });
  const probabilities = new Float32Array(labels.length * classes.length);
  const count = new Set(folds).size;
  for (let fold = 0; fold < count; fold++) {
    const places = [...folds.keys()];
    const asked = places.filter((at) => folds[at] === fold);
    const data: DataSource = {
      name: "folds",
      options: { fold },
      load: async () => ({
        classes,
        height: size,
        width: size,
        train: subset(
          all,
          places.filter((at) => folds[at] !== fold),
        ),
        test: subset(all, asked),
        mean: imageNetStatistics.mean,
        deviation: imageNetStatistics.deviation,
        fingerprint: `fold ${fold}`,
      }),
    };
    let outputs: Outputs | undefined;
    const watching: Plugin = {
      name: "fold-outputs",
      options: {},
      observer: true,
      apply({ hooks }) {
        // The last evaluation is that of the test images, which are those of the fold.
        hooks.afterEvaluate.tap((metrics) => {
          outputs = metrics.outputs;
          return metrics;
        });
      },
    };
    log(`training ${fold + 1} of ${count}`);
    const result = await new Trainer({ ...config, data, holdout: 0 }, [watching]).fit();
    result.dispose();
    const rows = outputs!.probabilities;
    asked.forEach((at, row) =>
      probabilities.set(rows.subarray(row * classes.length, (row + 1) * classes.length), at * classes.length),
    );
  }
  return probabilities;
}
