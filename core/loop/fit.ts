/** One fit under way: what the loop moves as it goes, and how it may end. */
import type * as tf from "@tensorflow/tfjs-core";
import type { ResolvedConfig } from "../config/config.js";
import type { Data } from "../data/dataset.js";
import type { Weights } from "../nn/layer.js";
import type { AppliedPlugin } from "./plugin-instances.js";
import { beginning, type Position, timedProgress } from "./position.js";
import { createRecovery, type OnResumePoint, type Recovery, type RecoveryOptions } from "./recovery.js";
import type { Session } from "./session.js";
import { resumeFrom, type Snapshot } from "./snapshot.js";
import { disposeState, type TrainState } from "./state.js";
import type { FitSummary, Metrics, OpenNetwork, Progress } from "./types.js";

export interface FitOptions {
  /** Stops the run after the step under way. */
  signal?: AbortSignal;
  /** Called with the data once it is loaded; throws to refuse it. */
  checkData?: (data: Data) => void;
  /** The run's folder, for plugins that write. Read before each use: a getter may throw once the folder is lost. */
  folder?: string;
  log?: (line: string) => void;
  /** Opens the network of another run, for plugins that use one. `train` and the command line give it. */
  openNetwork?: OpenNetwork;
  /** Where to resume instead of at the beginning. Called once the backend is loaded; the snapshot is the trainer's then. */
  from?: () => Snapshot;
  /** Receives every point from which the run can resume. */
  onResumePoint?: OnResumePoint;
}

export interface FitResult {
  readonly summary: FitSummary;
  /**
   * The weights that the last evaluation used: those of the best epoch with `earlyStopping`, averaged ones with `ema`.
   * Of an interrupted run they are the last ones. They belong to the caller, who frees them with `dispose`.
   */
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  /** Frees the weights. May be called twice. */
  dispose(): void;
}

export interface Fit {
  readonly options: FitOptions;
  readonly config: ResolvedConfig;
  readonly session: Session;
  readonly state: TrainState;
  readonly position: Position;
  /** Where this process started: costs are measured from there. */
  readonly since: Position;
  readonly recovery: Recovery;
  /** A process of the group received a request to stop, and all processes know it. */
  stopping: boolean;
  stopReason?: string;
  test?: Metrics;
  /** What the last evaluation used. */
  final?: Weights;
}

/** At the beginning, or where `options.from` says. @throws TrainerError ERR_RESUME for a snapshot that does not fit */
export function beginFit(
  options: FitOptions,
  config: ResolvedConfig,
  session: Session,
  plugins: readonly AppliedPlugin[],
  events: RecoveryOptions["events"],
): Fit {
  const state = session.createState();
  const position = beginning();
  try {
    const anchor = options.from && resumeFrom(options.from(), state, position, plugins);
    const recovery = createRecovery(state, position, plugins, {
      onResumePoint: options.onResumePoint,
      policy: config.onDivergence,
      events,
      anchor,
    });
    const stopReason = position.ended ?? enough(config, position);
    return { options, config, session, state, position, since: { ...position }, recovery, stopping: false, stopReason };
  } catch (error) {
    disposeState(state);
    throw error;
  }
}

export function progressOf({ config, session: { stepsPerEpoch }, position }: Fit): Progress {
  if (config.maxTime !== undefined) return timedProgress(position, config.maxTime, stepsPerEpoch);
  const epochs = config.epochs!;
  return { epoch: position.epoch, epochs, step: position.step, stepsPerEpoch, totalSteps: epochs * stepsPerEpoch };
}

/** Whether this process received a request to stop. */
export const isAskedToStop = ({ options: { signal } }: Fit): boolean => signal?.aborted ?? false;

/** Whether the run ends because of such a request: in a group, once all processes know it. */
export const isInterrupted = (fit: Fit): boolean => (fit.session.group.size > 1 ? fit.stopping : isAskedToStop(fit));

export const interruption = (fit: Fit): string | undefined =>
  isInterrupted(fit) ? `interrupted (${fit.options.signal?.reason ?? "stopped"})` : undefined;

/** "max steps" once the config's `maxSteps` are done, "max time" once its `maxTime` is over. */
export function enough({ maxSteps, maxTime }: ResolvedConfig, { step, seconds }: Position): string | undefined {
  if (maxSteps !== undefined && step >= maxSteps) return "max steps";
  return maxTime !== undefined && seconds >= maxTime ? "max time" : undefined;
}
