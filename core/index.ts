/** The public API. A snapshot test guards what is exported here. */
export { Trainer, type FitOptions } from "./loop/trainer.js";
export { defineConfig, configRecord, type ConfigRecord, type ResolvedConfig, type TrainerConfig } from "./config/config.js";
export {
  definePlugin,
  optionsOf,
  type Plugin,
  type PluginContext,
  type PluginDefinition,
  type PluginFactory,
  type PluginInstance,
  type PluginState,
  type Remark,
} from "./loop/plugin.js";
export {
  hookDefinitions,
  hookNames,
  stages,
  type HookName,
  type Hooks,
  type HookSignatures,
  type HookTap,
  type Stage,
  type TapInfo,
  type TapOptions,
} from "./loop/hooks.js";
export type {
  EpochRecord,
  EventName,
  Events,
  MetricsRecord,
  SummaryRecord,
} from "./loop/events.js";
export type {
  Batch,
  EpochSummary,
  Evaluation,
  FitSummary,
  Gradients,
  Metrics,
  Outputs,
  ParamGroup,
  Progress,
  Run,
  Step,
  TrainFigures,
  View,
} from "./loop/types.js";
export { evaluate, figures, plainView, type EvaluateOptions } from "./loop/evaluate.js";
export { adamw, sgd, type Optimizer, type UpdateContext } from "./nn/optimizers.js";
export { forward, type Buffer, type Layer, type Layout, type Parameter, type Pass, type PassOptions, type Weights } from "./nn/layer.js";
export * as layers from "./nn/layers.js";
export * as ops from "./nn/ops.js";
export { squeezeExcite, type SqueezeExciteOptions } from "./nn/squeeze-excite.js";
export type { BlockInfo, BuildContext, HeadInfo, Model, ModelSource } from "./nn/model.js";
export type { Data, DataSource, Picture, Sample, Split } from "./data/dataset.js";
export * as image from "./image/index.js";
export { spread, subset } from "./data/holdout.js";
export { createLoader, type Loader, type LoaderOptions, type RawBatch } from "./data/loader.js";
export { gradCam, type GradCam, type GradCamOptions } from "./interpret/grad-cam.js";
export { overlay, rowPng } from "./interpret/overlay.js";
export { commonWeights, weightsFromSafetensors, weightsToSafetensors, type CommonWeights } from "./nn/weights-file.js";
export { loadBackend, type Backend } from "./backend/index.js";
export { exitCodes, TrainerError, type ErrorCode } from "./errors.js";
export { parseOptions } from "./options.js";
export { stream, type Stream } from "./rng.js";
