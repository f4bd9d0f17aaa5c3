/** The loop. Everything a run can do beyond it is a plugin at one of its hooks; docs/hooks.md shows them in order. */
import { createHash } from "node:crypto";
import * as tf from "@tensorflow/tfjs-core";
import type { Emitter } from "mitt";
import { configRecord, type ResolvedConfig, resolveConfig, type TrainerConfig } from "../config/config.js";
import type { RawBatch } from "../data/loader.js";
import { reasonOf, TrainerError } from "../errors.js";
import { alone, type Group, mustAgree } from "../group/group.js";
import type { Weights } from "../nn/layer.js";
import { packageVersion } from "../package.js";
import { prepareTapState } from "./after-step.js";
import { checkComposition } from "./composition.js";
import { evaluate, plainView } from "./evaluate.js";
import { createEvents, type Events } from "./events.js";
import {
  beginFit,
  enough,
  type Fit,
  type FitOptions,
  type FitResult,
  interruption,
  isAskedToStop,
  isInterrupted,
  progressOf,
} from "./fit.js";
import { createHooks, type HookSet } from "./hook-set.js";
import { formatPlan, makePlan } from "./plan.js";
import type { FileChecks, Plugin } from "./plugin.js";
import { type AppliedPlugin, applyPlugins, disposePlugins } from "./plugin-instances.js";
import { advance, bestOf, mustBeNext, nextEpoch } from "./position.js";
import { createSession, type Session } from "./session.js";
import { cloned, disposeAll } from "./snapshot.js";
import { disposeState, replaceWeights, type StepContext } from "./state.js";
import { runStep, type StepResult } from "./step.js";
import { epochRecord, epochSummary, fitEndRecord, fitSummary, metricsRecord } from "./summary.js";
import type { Evaluation, FitContext, FitSummary, Metrics, OpenNetwork } from "./types.js";

const fitsOnce = "A Trainer fits once. To train again, make a new Trainer of the same config.";

/** Trains one model as a config says. Composition errors are thrown here, before anything is loaded or written. */
export class Trainer {
  readonly config: ResolvedConfig;
  readonly events: Emitter<Events> = createEvents();
  readonly hooks: HookSet;
  /** Hints about the composition of plugins; `plan` prints them. */
  readonly hints: readonly string[];
  readonly #plugins: readonly AppliedPlugin[];
  #group: Group | undefined;
  #used = false;

  /** `extensions` are applied after the config's plugins and are no part of its record. */
  constructor(config: TrainerConfig, extensions: readonly Plugin[] = []) {
    this.config = resolveConfig(config);
    this.hints = checkComposition(
      this.config,
      extensions.map(({ name }) => name),
    );
    this.hooks = createHooks({
      seed: this.config.seed,
      timeout: this.config.hookTimeout,
      onObserverFailure: ({ message }) => this.#warn(`${message.replace(/\.?$/, ".")} It is switched off.`),
      onLeak: (message) => this.#warn(message),
    });
    this.#plugins = applyPlugins(this.config, this.hooks, this.events, extensions);
  }

  /** The processes that a fit trains with. @throws TrainerError ERR_OPTION where this one cannot be a member */
  get group(): Group {
    return (this.#group ??= this.hooks.call.resolveGroup(alone));
  }

  /** Asks each plugin whether the files that a fit will need are there and whole. @throws TrainerError of the plugin */
  async checkFiles(checks: FileChecks): Promise<void> {
    for (const plugin of this.config.plugins) {
      try {
        await plugin.checkFiles?.(checks);
      } catch (cause) {
        if (!(cause instanceof TrainerError)) throw cause;
        const { name } = plugin;
        throw new TrainerError(cause.code, `Plugin "${name}": ${cause.message}`, { cause, plugin: name });
      }
    }
  }

  /** Loads data, backend and model; `fit` and `plan` begin with it. `group` are the processes that train together. */
  prepare(log?: (line: string) => void, group: Group = alone): Promise<Session> {
    const tapped = new Set(this.hooks.taps().map(({ hook }) => hook));
    return createSession(this.config, this.hooks.call, {
      log,
      warn: (message) => this.#warn(message),
      isTapped: (hook) => tapped.has(hook),
      group,
    });
  }

  /**
   * Trains to the end, evaluates what the run ends with, and reads the test set once. A trainer fits once.
   *
   * @throws TrainerError of any code; the first failure counts, later ones are warnings
   */
  async fit(options: FitOptions = {}): Promise<FitResult> {
    if (this.#used) throw new TrainerError("ERR_OPTION", fitsOnce);
    this.#used = true;
    let session: Session | undefined;
    let fit: Fit | undefined;
    let result: FitResult | undefined;
    const failures: TrainerError[] = []; // at the end; a failure of the run itself goes first
    try {
      session = await this.prepare(options.log, this.group);
      options.checkData?.(session.data);
      fit = beginFit(options, this.config, session, this.#plugins, this.events);
      const summary = await this.#fit(fit);
      result = resultOf(summary, fit.final ?? cloned(fit.state.weights));
    } finally {
      if (!result && fit?.final) disposeAll(fit.final);
      if (fit) disposeState(fit.state);
      failures.push(...this.hooks.endFailures(), ...disposePlugins(this.#plugins));
      for (const { message } of failures) this.#warn(message);
      session?.capture.dispose();
      if (failures.length > 0) result?.dispose();
    }
    if (failures[0]) throw failures[0];
    return result!;
  }

  async #fit(fit: Fit): Promise<FitSummary> {
    try {
      await this.#start(fit);
      const { epochs = Number.POSITIVE_INFINITY } = this.config;
      if (fit.stopReason !== undefined && fit.position.batchInEpoch > 0) await this.#endEpoch(fit); // resumed after its last step
      while (fit.position.epoch < epochs && fit.stopReason === undefined) await this.#epoch(fit);
      fit.recovery.stop();
      if (!isInterrupted(fit)) await this.#finalEvaluation(fit);
      fit.stopReason = interruption(fit) ?? fit.stopReason; // whatever ended the training: the evaluation is still to come
      return this.#summaryOf(fit);
    } catch (error) {
      fit.stopReason = `failed: ${reasonOf(error)}`;
      fit.recovery.stop({ failure: error });
      throw error;
    } finally {
      await this.#end(fit);
    }
  }

  async #start(fit: Fit): Promise<void> {
    const { config, session, options } = fit;
    mustAgree(session.group, () => agreed(fit)); // before anything is written
    if (options.from === undefined) await this.#takeFirstWeights(fit);
    await this.hooks.call.onFitStart(this.#contextOf(fit));
    if (config.maxTime !== undefined) {
      this.#warn(
        "With maxTime the schedule follows measured time: no other run has the same bits, nor has a resumed one.",
      );
    }
    tf.tidy(() => prepareTapState(this.hooks.afterStepTaps(), fit.state, options.from !== undefined));
    mustAgree(session.group, () => ({ "first weights": digestOf(fit.state.weights) }));
    const { parameters, backend, threads, seed } = this.#summaryOf(fit);
    const { totalSteps } = progressOf(fit);
    this.events.emit("fit:start", {
      ...progressOf(fit),
      name: config.name,
      seed,
      backend,
      threads,
      parameters,
      folder: options.folder,
      batchSize: config.batchSize,
      classes: session.data.classes.length,
      ...(config.maxTime === undefined && { lastStep: Math.min(totalSteps, config.maxSteps ?? totalSteps) }),
      trainSamples: session.samples.train,
      validationSamples: session.samples.validation,
      testSamples: session.samples.test,
    });
    fit.recovery.mark("start");
  }

  /** Of a model that does not start with random ones. */
  async #takeFirstWeights(fit: Fit): Promise<void> {
    const { config, session, state, options } = fit;
    const found = await config.model.firstWeights?.(session.model, { data: session.data, log: options.log });
    if (!found) return;
    replaceWeights(state, found.weights, progressOf(fit));
    this.events.emit(found.event ?? "warning", { message: `${config.model.name}: ${found.message}` });
  }

  async #epoch(fit: Fit): Promise<void> {
    this.events.emit("epoch:start", progressOf(fit));
    const outcome = await this.#allBatches(fit);
    if (outcome === "trained") await this.#endEpoch(fit);
  }

  /** The rest of the epoch's batches, until one is a reason to stop. */
  async #allBatches(fit: Fit): Promise<"trained" | "rolled back"> {
    const { position } = fit;
    const { loaders } = fit.session;
    const context = this.#stepContext(fit);
    let since = performance.now();
    for await (const raw of loaders.train.epoch(position.epoch, position.batchInEpoch)) {
      const outcome = this.#step(fit, context, raw, since);
      if (outcome === "rolled back") return outcome;
      if (outcome === "skipped") continue;
      await new Promise(setImmediate); // a loop of microtasks never sees a signal or a timer
      fit.stopReason = interruption(fit) ?? enough(this.config, position);
      if (fit.stopReason !== undefined) break;
      since = performance.now();
    }
    return "trained";
  }

  #step(fit: Fit, context: StepContext, raw: RawBatch, since: number): "stepped" | "skipped" | "rolled back" {
    const { position, recovery, session, state } = fit;
    mustBeNext(position, raw);
    let result: StepResult;
    try {
      const stopping = isAskedToStop(fit);
      result = runStep(context, state, raw, { microBatch: position.microBatch, progress: progressOf(fit), stopping });
    } catch (error) {
      return recovery.recover(error, session.stepsAt[position.batchInEpoch]!);
    }
    fit.stopping ||= result.stopping > 0;
    const figures = advance(position, raw, result, (performance.now() - since) / 1000);
    if (figures) this.events.emit("step", { ...progressOf(fit), ...figures });
    recovery.mark("step");
    return "stepped";
  }

  async #endEpoch(fit: Fit): Promise<void> {
    const { position, session } = fit;
    const { call } = this.hooks;
    const whole = position.batchInEpoch === session.loaders.train.batchesInEpoch;
    const last = fit.stopReason !== undefined || position.epoch + 1 === this.config.epochs;
    const due = (position.epoch + 1) % this.config.evaluateEvery === 0 || last;
    const validation =
      due && !isInterrupted(fit) ? await this.#evaluate(fit, this.#choose(fit, "validation"), "validation") : undefined;
    const summary = epochSummary(progressOf(fit), position, whole, validation);
    position.validation = metricsRecord(validation);
    position.best = bestOf(position, summary, this.config.monitor);
    if (whole) nextEpoch(position);
    await call.onEpochEnd(summary);
    this.events.emit("epoch:end", epochRecord(summary));
    position.ended = call.shouldStop(summary);
    mustAgree(session.group, () => ({
      "answer of shouldStop": position.ended ?? "",
      "state of weights": digestOf(fit.state.weights),
    }));
    fit.stopReason ??= interruption(fit) ?? position.ended;
    if (whole && !isInterrupted(fit)) fit.recovery.mark("epoch");
  }

  /** Evaluates what the run ends with: validation again where other weights are chosen, and the test set once. */
  async #finalEvaluation(fit: Fit): Promise<void> {
    const { position } = fit;
    const final = this.#choose(fit, "final");
    fit.final = cloned(final.weights);
    if (final.source !== position.validation?.source) {
      position.validation = metricsRecord(await this.#evaluate(fit, final, "validation")) ?? position.validation;
    }
    fit.test = await this.#evaluate(fit, final, "test");
    if (isInterrupted(fit)) return;
    mustBeFinite("validation", position.validation?.loss);
    mustBeFinite("test", fit.test?.loss);
  }

  /** Which weights and views an evaluation uses. */
  #choose(fit: Fit, purpose: Evaluation["purpose"]): Evaluation {
    const current: Evaluation = { purpose, weights: fit.state.weights, source: "current", views: [plainView] };
    return this.hooks.call.beforeEvaluate(current, progressOf(fit));
  }

  async #evaluate(fit: Fit, evaluation: Evaluation, split: "validation" | "test"): Promise<Metrics | undefined> {
    const { session } = fit;
    const loader = session.loaders[split];
    if (!loader) return undefined;
    const { group } = session;
    const found = await evaluate({
      ...sizesOf(session),
      loader,
      evaluation,
      group,
      cancelled: () => isAskedToStop(fit),
      loss: this.config.loss,
      metrics: this.config.metrics,
    });
    fit.stopping ||= !found;
    if (!found) return undefined;
    const metrics = await this.hooks.call.afterEvaluate(found, progressOf(fit));
    const purpose = split === "test" ? "test" : evaluation.purpose;
    if (!Number.isFinite(metrics.loss)) this.#warn(`The ${split} loss is ${metrics.loss} (${metrics.source} weights).`);
    this.events.emit("evaluate:end", { ...progressOf(fit), ...metricsRecord(metrics)!, purpose });
    return metrics;
  }

  async #end(fit: Fit): Promise<void> {
    const summary = this.#summaryOf(fit);
    fit.recovery.dispose();
    await this.hooks.call.onFitEnd(summary);
    this.events.emit("fit:end", fitEndRecord(summary));
  }

  #summaryOf({ session, position, test, stopReason = "epochs", since }: Fit): FitSummary {
    return fitSummary(this.config, session, this.hooks.costs(), position, { test, stopReason }, since);
  }

  /** What stays the same in an epoch's steps. */
  #stepContext(fit: Fit): StepContext {
    const { config, hooks } = this;
    const { session, position } = fit;
    const groups = hooks.call.resolveParamGroups(session.groups, progressOf(fit));
    session.capture.renew();
    return {
      ...sizesOf(session),
      groups,
      hooks: hooks.call,
      isPure: hooks.isPure,
      afterStepTaps: hooks.afterStepTaps(),
      afterLossTaps: hooks.afterLossTaps(),
      capture: session.capture,
      group: session.group,
      images: { split: session.data.train, indices: session.trainIndices },
      rules: session.rules,
      loss: config.loss,
      learningRate: config.learningRate * position.rateFactor,
      seed: config.seed,
    };
  }

  #contextOf(fit: Fit): FitContext {
    const { session, state } = fit;
    let plan: string | undefined;
    return {
      config: this.config,
      data: session.data,
      model: session.model,
      inputSize: session.inputSize,
      get folder() {
        return fit.options.folder; // asked each time: a run may lose its folder
      },
      trainIndices: session.trainIndices,
      validationIndices: session.validationIndices,
      backend: session.backend,
      progress: progressOf(fit),
      plan: () => (plan ??= formatPlan(makePlan(this, session))),
      weights: () => state.weights,
      replaceWeights: (weights) => replaceWeights(state, weights, progressOf(fit)),
      openNetwork: fit.options.openNetwork ?? refuseToOpen,
    };
  }

  #warn(message: string): void {
    this.events.emit("warning", { message });
  }
}

/** A bare trainer reads and writes no run. */
const refuseToOpen: OpenNetwork = (folder) => {
  throw new TrainerError(
    "ERR_PLUGIN",
    `A Trainer alone opens no run such as ${folder}. Use train of fitloop, or give fit the option openNetwork.`,
  );
};

/** A run that ends with weights that give no finite answer has failed. @throws TrainerError ERR_DIVERGED */
function mustBeFinite(split: string, loss: number | undefined): void {
  if (loss === undefined || Number.isFinite(loss)) return;
  throw new TrainerError(
    "ERR_DIVERGED",
    `The ${split} loss at the end is ${loss}: the weights that the run ends with give no finite answer. ` +
      "Lower the learning rate, add warmup or gradient clipping, and check what changes the evaluated weights.",
  );
}

/** What every process of a group must have alike before the first step. */
function agreed({ config, session, state, position }: Fit): Record<string, string | Uint8Array> {
  const { name: _, ...settings } = configRecord(config);
  return {
    config: JSON.stringify(settings),
    "data set": session.data.fingerprint,
    "version of fitloop": packageVersion(),
    "version of Node": process.version,
    "version of the backend": session.backend.version ?? "",
    "number of threads": String(session.backend.threads),
    "resume point": JSON.stringify([position.epoch, position.microBatch]),
    "state of weights and optimizer": digestOf(new Map([...state.weights, ...state.slots])),
  };
}

/** SHA-256 over all values, in the map's order. */
function digestOf(values: Weights): Uint8Array {
  const hash = createHash("sha256");
  for (const value of values.values()) {
    const { buffer, byteOffset, byteLength } = value.dataSync() as Float32Array;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest();
}

const sizesOf = ({ data, model, inputSize }: Session) => ({
  model,
  classes: data.classes.length,
  height: data.height,
  width: data.width,
  inputSize,
});

const resultOf = (summary: FitSummary, weights: Weights): FitResult => ({
  summary,
  weights,
  dispose: () => disposeAll(weights),
});
