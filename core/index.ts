/** The public API. A snapshot test guards what is exported here. */

export { type Backend, loadBackend } from "./backend/index.js";
export { addPlugin, parseSetting, replacePlugin, setOption } from "./config/change.js";
export {
  type ConfigRecord,
  configRecord,
  defineConfig,
  type ResolvedConfig,
  type RunConfig,
  type TrainerConfig,
} from "./config/config.js";
export { cycleAt } from "./cycles.js";
export type { Data, DataSource, Image, Sample, Split } from "./data/dataset.js";
export { placesByClass, spread, subset } from "./data/holdout.js";
export { createLoader, type Loader, type LoaderOptions, type RawBatch } from "./data/loader.js";
export { type ErrorCode, exitCodes, TrainerError } from "./errors.js";
export { alone, type Group } from "./group/group.js";
export { joinGroup } from "./group/join.js";
export { type Membership, type MembershipOptions, membershipOf } from "./group/membership.js";
export * as image from "./image/index.js";
export { type GradCam, type GradCamOptions, gradCam } from "./interpret/grad-cam.js";
export { overlay, rowPng } from "./interpret/overlay.js";
export { type EvaluateOptions, evaluate, figures, plainView } from "./loop/evaluate.js";
export type {
  EpochRecord,
  EventName,
  Events,
  MetricsRecord,
  SummaryRecord,
} from "./loop/events.js";
export type { FitOptions, FitResult } from "./loop/fit.js";
export type { TapInfo } from "./loop/hook-set.js";
export {
  type HookName,
  type HookSignatures,
  type Hooks,
  type HookTap,
  hookDefinitions,
  hookNames,
  type Stage,
  stages,
  type TapOptions,
} from "./loop/hooks.js";
export {
  definePlugin,
  type FileChecks,
  needsEpochs,
  needsTensorFlow,
  optionsOf,
  type Plugin,
  type PluginContext,
  type PluginDefinition,
  type PluginFactory,
  type PluginInstance,
  type PluginState,
  type Remark,
} from "./loop/plugin.js";
export { Trainer } from "./loop/trainer.js";
export type {
  AfterStepContext,
  AfterStepOptions,
  Batch,
  EpochSummary,
  Evaluation,
  FitContext,
  FitSummary,
  Gradients,
  Metrics,
  NetworkWeights,
  OpenNetwork,
  Outputs,
  ParamGroup,
  Progress,
  Step,
  TrainedNetwork,
  TrainFigures,
  View,
} from "./loop/types.js";
export { type Metric, metrics } from "./metrics.js";
export { type BestEpoch, improves, type Monitor, monitored, monitorOf, mustHaveValidation } from "./monitor.js";
export * as blend from "./nn/blend.js";
export {
  type Buffer,
  forward,
  type Layer,
  type Layout,
  namedParameters,
  type Parameter,
  type Pass,
  type PassOptions,
  type Weights,
} from "./nn/layer.js";
export * as layers from "./nn/layers.js";
export { type Loss, losses } from "./nn/losses.js";
export type { BlockInfo, BuildContext, HeadInfo, Model, ModelSource, NetworkInfo } from "./nn/model.js";
export { muon } from "./nn/muon.js";
export * as ops from "./nn/ops.js";
export {
  adamw,
  lion,
  type Optimizer,
  type ParameterInfo,
  sgd,
  type UpdateContext,
  type UpdateRule,
} from "./nn/optimizers.js";
export { readWeights } from "./nn/read-weights.js";
export { type SqueezeExciteOptions, squeezeExcite } from "./nn/squeeze-excite.js";
export { type CommonWeights, commonWeights, weightsFromSafetensors, weightsToSafetensors } from "./nn/weights-file.js";
export { parseOptions } from "./options.js";
export { type Given, makePart, type Part, partFactory } from "./parts.js";
export { type FirstWeightsOptions, firstWeights } from "./pretrained/choose.js";
export { isRepository, type OpenedWeights, openWeights } from "./pretrained/open.js";
export { normalisationNote, type PretrainedConfig, type PretrainedImages } from "./pretrained/preprocessing.js";
export { type Stream, stream } from "./rng.js";
export * as graph from "./trace/index.js";
