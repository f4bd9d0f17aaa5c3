/**
 * Hints about a prepared run that no plugin can give alone: they follow from network, data and schedule
 * together. Nothing here is a mistake; each may be meant.
 */

import type { ResolvedConfig } from "../config/config.js";
import { short } from "../format.js";
import { namedBuffers } from "../nn/layer.js";
import type { HookSet } from "./hook-set.js";
import { assumedEpochs, progressAt } from "./position.js";
import type { Session } from "./session.js";

interface Hinted {
  readonly config: ResolvedConfig;
  readonly hooks: HookSet;
}

/** The rate that SGD with momentum takes for `reference.images` a step; others grow with the images. */
const reference = { rate: 0.1, images: 128 };
/** From this factor on, a rate is far from the rule. */
const far = 4;

/** Hints about the whole run. `rates`: the rate at some steps, the first and the last included. */
export function planHints(
  trainer: Hinted,
  session: Session,
  rates: readonly { step: number; rate: number }[],
): string[] {
  const { config } = trainer;
  const perStep = session.stepsAt.indexOf(true) + 1;
  const { totalSteps } = progressAt(0, config, session);
  const { maxSteps = totalSteps } = config;
  const reached = rates.filter(({ step }) => step < maxSteps);
  return [
    ...batchNormHint(perStep, config.batchSize, namedBuffers(session.model.layer).size > 0),
    ...(config.optimizer.name === "sgd"
      ? scalingHint(Math.max(...reached.map(({ rate }) => rate)), perStep * config.batchSize)
      : []),
    ...(maxSteps < totalSteps
      ? [
          `The run stops after step ${maxSteps} of ${totalSteps}, and the schedule is of all of them: ` +
            "no step will use the rates that come later.",
        ]
      : []),
    ...frozenHint(trainer, session),
  ];
}

/** Accumulation gives the gradient of a large batch, and the batch statistics of a small one. */
function batchNormHint(microBatches: number, batchSize: number, hasStatistics: boolean): string[] {
  if (microBatches === 1 || !hasStatistics) return [];
  return [
    `A step is ${microBatches} micro-batches, and batch norm takes its statistics from the ${batchSize} images of ` +
      `each: this is not the same as one batch of ${microBatches * batchSize}.`,
  ];
}

/** Goyal et al. 2017: as many times the images, as many times the rate. */
function scalingHint(highest: number, images: number): string[] {
  const rule = (reference.rate * images) / reference.images;
  const times = highest / rule;
  if (times < far && times > 1 / far) return [];
  const distance = times >= 1 ? `${short(times, 2)} times as high as` : `${short(1 / times, 2)} times lower than`;
  return [
    `The highest learning rate, ${short(highest, 2)}, is ${distance} the linear-scaling rule's ${short(rule, 2)} for ` +
      `${images} images per step (${reference.rate} for ${reference.images}).`,
  ];
}

/** Groups that train in no epoch: their rates are set and never used. */
function frozenHint({ config, hooks }: Hinted, session: Session): string[] {
  const never = new Set(session.groups.flatMap(({ parameters }) => parameters));
  for (let epoch = 0; epoch < (config.epochs ?? assumedEpochs) && never.size > 0; epoch++) {
    const progress = progressAt(epoch * session.stepsPerEpoch, config, session);
    for (const group of hooks.call.resolveParamGroups(session.groups, progress)) {
      if (group.trains && group.rateFactor > 0) for (const name of group.parameters) never.delete(name);
    }
  }
  if (never.size === 0) return [];
  const stages = session.model.stages.flat().flatMap((part) => {
    const all = [...session.parameters.keys()].filter((name) => name.startsWith(`${part}.`));
    const frozen = all.filter((name) => never.has(name)).length;
    return frozen === 0 ? [] : [frozen < all.length ? `${part} (in part)` : part];
  });
  return [`In no epoch of the run do these train, whatever their rate: ${stages.join(", ")}.`];
}
