/** MixUp and CutMix in turn, as timm's `Mixup` has them: one of the two for each micro-batch. */
import { z } from "zod";
import { type Batch, blend, definePlugin, needsEpochs } from "../../core/index.js";

const probability = z.number().min(0).max(1);

const options = z.strictObject({
  mixupAlpha: z.number().positive().default(0.8).describe("MixUp's share is drawn from Beta(alpha, alpha)"),
  cutmixAlpha: z.number().positive().default(1).describe("CutMix's share is drawn from Beta(alpha, alpha)"),
  probability: probability.default(1).describe("share of micro-batches to mix"),
  switchProbability: probability.default(0.5).describe("share of CutMix among mixed micro-batches"),
  plainEpochs: z.int().min(0).default(0).describe("epochs without mixing at the end of the run"),
});

/** What is drawn for one micro-batch: the first image's own share, and where a box has its centre. */
export interface Mix {
  readonly share: number;
  /** In pixels; left out: MixUp. */
  readonly centre?: { readonly x: number; readonly y: number };
}

/** timm's box: sides of int(S · sqrt(1 - share)), an odd one with its pixel more behind the centre, clipped to the image. */
export function mixBox(height: number, width: number, share: number, { x, y }: { x: number; y: number }): blend.CutBox {
  const cut = Math.sqrt(1 - share);
  const [tall, wide] = [Math.floor(height * cut), Math.floor(width * cut)];
  return {
    left: Math.max(x - Math.floor(wide / 2), 0),
    top: Math.max(y - Math.floor(tall / 2), 0),
    right: Math.min(x + Math.ceil(wide / 2), width),
    bottom: Math.min(y + Math.ceil(tall / 2), height),
  };
}

/** Row i with the row as far from the end: `x.flip(0)` of timm. */
export function mixReversed(batch: Batch, { share, centre }: Mix): Batch {
  const [size, height, width] = batch.images.shape;
  const partners = Int32Array.from({ length: size }, (_, row) => size - 1 - row);
  if (!centre) return blend.mixRows(batch, share, partners);
  return blend.pasteBox(batch, mixBox(height, width, share, centre), partners);
}

export const mixing = definePlugin({
  name: "mixing",
  summary: "MixUp or CutMix for each micro-batch, by a draw, and none in the last epochs",
  options,
  slot: "mixing",
  check({ plainEpochs }, { epochs }) {
    if (plainEpochs === 0) return [];
    if (epochs === undefined) return [needsEpochs("mixing")];
    if (plainEpochs < epochs) return [];
    return [{ level: "hint", text: `mixing has no effect: plainEpochs ${plainEpochs} of ${epochs} epochs.` }];
  },
  apply({ mixupAlpha, cutmixAlpha, probability, switchProbability, plainEpochs }, { hooks, stream, config }) {
    hooks.beforeBatch.tap((batch, { microBatch, epoch }) => {
      const rng = stream(microBatch);
      const [size, height, width] = batch.images.shape;
      if ((plainEpochs > 0 && epoch >= config.epochs! - plainEpochs) || size === 1 || !rng.chance(probability))
        return batch;
      if (!rng.chance(switchProbability)) return mixReversed(batch, { share: rng.beta(mixupAlpha, mixupAlpha) });
      const share = rng.beta(cutmixAlpha, cutmixAlpha);
      return mixReversed(batch, { share, centre: { y: rng.int(height), x: rng.int(width) } });
    });
  },
});
