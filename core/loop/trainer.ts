/** The loop. Everything a run can do beyond it is a plugin at one of its hooks; docs/hooks.md shows them in order. */
import type { Emitter } from "mitt";
import { checkComposition, applyPlugins, disposePlugins, type AppliedPlugin, type Plugin } from "./plugin.js";
import { resolveConfig, type ResolvedConfig, type TrainerConfig } from "../config/config.js";
import { TrainerError } from "../errors.js";
import { sgd } from "../nn/optimizers.js";
import { createEvents, type Events } from "./events.js";
import { evaluate, plainView } from "./evaluate.js";
import { createHooks, type HookSet } from "./hooks.js";
import { createSession, type Session } from "./session.js";
import { replaceWeights, runStep, type TrainState } from "./step.js";
import { epochRecord, fitEndRecord, fitSummary, metricsRecord } from "./summary.js";
import type { EpochSummary, Evaluation, FitSummary, Metrics, ParamGroup, Progress } from "./types.js";

export interface FitOptions {
  /** Stops the run after the step under way. */
  signal?: AbortSignal;
  /** The run's folder, for plugins that write. */
  folder?: string;
  log?: (line: string) => void;
}

/** Trains one model as a config says. Composition errors are thrown here, before anything is loaded or written. */
export class Trainer {
  readonly config: ResolvedConfig;
  readonly events: Emitter<Events> = createEvents();
  readonly hooks: HookSet;
  /** What the composition gives reason to say. */
  readonly notes: readonly string[];
  readonly #plugins: readonly AppliedPlugin[];
  #used = false;

  /** `extensions` are applied after the config's plugins and are no part of its record. */
  constructor(config: TrainerConfig, extensions: readonly Plugin[] = []) {
    this.config = resolveConfig(config, { optimizer: sgd() });
    this.notes = checkComposition(this.config);
    this.hooks = createHooks({
      seed: this.config.seed,
      onObserverFailure: ({ message }) => this.events.emit("warning", { message: `${message} It is switched off.` }),
    });
    this.#plugins = applyPlugins(this.config, this.hooks, this.events, extensions);
  }

  /** Loads data, backend and model; the trainer's `fit` and `plan` begin with it. */
  prepare(log?: (line: string) => void): Promise<Session> {
    const augments = this.hooks.taps().some(({ hook }) => hook === "beforeSample");
    const warn = (message: string): void => this.events.emit("warning", { message });
    return createSession(this.config, this.hooks.call, { log, warn, augments });
  }

  /** Trains to the end, evaluates what the run ends with, and reads the test set once. A trainer fits once. */
  async fit({ signal, folder, log }: FitOptions = {}): Promise<FitSummary> {
    if (this.#used) throw new TrainerError("ERR_OPTION", "This trainer has run already. Build another one.");
    this.#used = true;
    let state: TrainState | undefined;
    const closing: TrainerError[] = []; // a failure of the run itself goes before these
    let summary: FitSummary;
    try {
      const session = await this.prepare(log);
      state = session.createState();
      summary = await this.#run(session, state, { signal, folder });
    } finally {
      for (const value of [...(state?.weights.values() ?? []), ...(state?.slots.values() ?? [])]) value.dispose();
      closing.push(...this.hooks.endFailures(), ...disposePlugins(this.#plugins));
      for (const { message } of closing) this.events.emit("warning", { message });
    }
    if (closing[0]) throw closing[0];
    return summary;
  }

  async #run(session: Session, state: TrainState, { signal, folder }: FitOptions): Promise<FitSummary> {
    const { config, events } = this;
    const { call } = this.hooks;
    const { data, model, inputSize, trainIndices, heldIndices, loaders, stepsPerEpoch } = session;
    const classes = data.classes.length;
    const sizes = { height: data.height, width: data.width, inputSize };
    const totalSteps = config.epochs * stepsPerEpoch;
    const position = { epoch: 0, step: 0, microBatch: 0 };
    const interrupted = (): string | undefined => signal?.aborted ? `interrupted (${signal.reason ?? "stopped"})` : undefined;
    const progress = (): Progress => ({ ...position, epochs: config.epochs, stepsPerEpoch, totalSteps });
    let seconds = 0; // spent in training steps, evaluation apart
    let samplesSeen = 0;
    let learningRate = 0;
    let stopReason: string | undefined;
    let validation: Metrics | undefined;
    let test: Metrics | undefined;

    const measure = async (evaluation: Evaluation, split: "validation" | "test"): Promise<Metrics | undefined> => {
      const loader = loaders[split];
      if (!loader) return undefined;
      const cancelled = (): boolean => signal?.aborted ?? false;
      const raw = await evaluate({ model, classes, ...sizes, loader, evaluation, cancelled });
      if (!raw) return undefined;
      const metrics = await call.afterEvaluate(raw, progress());
      events.emit("evaluate:end", { ...progress(), ...metricsRecord(metrics)!, purpose: split === "test" ? "test" : evaluation.purpose });
      return metrics;
    };
    const choose = (purpose: Evaluation["purpose"]): Evaluation =>
      call.beforeEvaluate({ purpose, weights: state.weights, source: "current", views: [plainView] }, progress());
    const summary = (): FitSummary =>
      fitSummary(config, session, this.hooks.costs(), {
        epochs: position.epoch, steps: position.step, seconds, samplesSeen, validation, test,
        stopReason: stopReason ?? "epochs",
      });

    try {
      await call.onFitStart({
        config, data, model, inputSize, folder, trainIndices, heldIndices,
        backend: session.backend,
        progress: progress(),
        weights: () => state.weights,
        replaceWeights: (weights) => replaceWeights(state, weights, progress()),
      });
      const { parameters, backend, backendVersion: _, threads, seed } = summary();
      events.emit("fit:start", {
        ...progress(), name: config.name, seed, backend, threads, parameters, folder,
        batchSize: config.batchSize,
        trainSamples: session.samples.train,
        heldSamples: session.samples.validation,
        testSamples: session.samples.test,
      });

      while (position.epoch < config.epochs && stopReason === undefined) {
        events.emit("epoch:start", progress());
        const groups: readonly ParamGroup[] = call.resolveParamGroups(session.groups, progress());
        const context = {
          model, classes, ...sizes, groups, hooks: call,
          optimizer: config.optimizer, learningRate: config.learningRate, seed: config.seed,
        };
        const epoch = { samples: 0, loss: 0, correct: 0, seconds: 0 };
        let since = { samples: 0, loss: 0, correct: 0, at: performance.now() }; // the last optimizer step
        for await (const raw of loaders.train.epoch(position.epoch)) {
          const { loss, correct, stepped } = runStep(context, state, raw, { microBatch: position.microBatch, progress: progress() });
          position.microBatch++;
          since.samples += raw.size;
          since.loss += loss * raw.size;
          since.correct += correct;
          if (!stepped) continue;
          position.step++;
          learningRate = stepped.learningRate;
          const took = (performance.now() - since.at) / 1000;
          events.emit("step", {
            ...progress(), ...stepped,
            loss: since.loss / since.samples,
            top1: since.correct / since.samples,
            samples: since.samples,
            imagesPerSecond: since.samples / took,
          });
          epoch.samples += since.samples;
          epoch.loss += since.loss;
          epoch.correct += since.correct;
          epoch.seconds += took;
          seconds += took;
          samplesSeen += since.samples;
          await new Promise(setImmediate); // a loop of microtasks never sees a signal or a timer
          since = { samples: 0, loss: 0, correct: 0, at: performance.now() };
          stopReason = interrupted() ?? (position.step === config.maxSteps ? "max steps" : undefined);
          if (stopReason !== undefined) break;
        }
        const whole = position.step === (position.epoch + 1) * stepsPerEpoch;
        const last = stopReason !== undefined || position.epoch + 1 === config.epochs;
        const due = (position.epoch + 1) % config.evaluateEvery === 0 || last;
        validation = due && !signal?.aborted && loaders.validation ? await measure(choose("validation"), "validation") : undefined;
        const ended: EpochSummary = {
          ...progress(),
          learningRate,
          train: { loss: epoch.loss / epoch.samples, top1: epoch.correct / epoch.samples },
          validation,
          seconds: epoch.seconds,
          imagesPerSecond: epoch.samples / epoch.seconds,
        };
        if (whole) position.epoch++;
        await call.onEpochEnd(ended);
        events.emit("epoch:end", epochRecord(ended));
        stopReason ??= interrupted() ?? call.shouldStop(ended);
      }

      if (!signal?.aborted) {
        const final = choose("final");
        if (final.source !== validation?.source) validation = await measure(final, "validation");
        test = await measure(final, "test");
        stopReason ??= interrupted();
      }
      return summary();
    } catch (error) {
      stopReason = `failed: ${error instanceof Error ? error.message : String(error)}`;
      throw error;
    } finally {
      const end = summary();
      await call.onFitEnd(end);
      events.emit("fit:end", fitEndRecord(end));
    }
  }
}
