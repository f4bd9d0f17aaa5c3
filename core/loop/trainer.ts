/** The loop. Everything a run can do beyond it is a plugin at one of its hooks; docs/hooks.md shows them in order. */
import type { Emitter } from "mitt";
import { type ResolvedConfig, resolveConfig, type TrainerConfig } from "../config/config.js";
import { reasonOf, TrainerError } from "../errors.js";
import { checkComposition } from "./composition.js";
import { evaluate, plainView } from "./evaluate.js";
import { createEvents, type Events } from "./events.js";
import { createHooks, type HookSet } from "./hooks.js";
import { formatPlan, makePlan } from "./plan.js";
import type { Plugin } from "./plugin.js";
import { type AppliedPlugin, applyPlugins, disposePlugins } from "./plugin-instances.js";
import { advance, beginning, nextEpoch } from "./position.js";
import { createMemory, type Keep } from "./recovery.js";
import { createSession, type Session } from "./session.js";
import { resume, type Snapshot } from "./snapshot.js";
import { replaceWeights, runStep, type StepResult, type TrainState } from "./step.js";
import { epochRecord, epochSummary, fitEndRecord, fitSummary, metricsRecord } from "./summary.js";
import type { Evaluation, FitSummary, Metrics, ParamGroup, Progress } from "./types.js";

export interface FitOptions {
  /** Stops the run after the step under way. */
  signal?: AbortSignal;
  /** The run's folder, for plugins that write. */
  folder?: string;
  log?: (line: string) => void;
  /** Goes on from here instead of the beginning. Asked once the backend is there; the snapshot is the trainer's then. */
  from?: () => Snapshot;
  /** Told of every moment that the run can be gone on from. */
  keep?: Keep;
}

/** Trains one model as a config says. Composition errors are thrown here, before anything is loaded or written. */
export class Trainer {
  readonly config: ResolvedConfig;
  readonly events: Emitter<Events> = createEvents();
  readonly hooks: HookSet;
  /** What the composition gives reason to say. */
  readonly hints: readonly string[];
  readonly #plugins: readonly AppliedPlugin[];
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
      onObserverFailure: ({ message }) =>
        this.events.emit("warning", { message: `${message.replace(/\.?$/, ".")} It is switched off.` }),
      onLeak: (message) => this.events.emit("warning", { message }),
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
  async fit(options: FitOptions = {}): Promise<FitSummary> {
    if (this.#used) throw new TrainerError("ERR_OPTION", "This trainer has run already. Build another one.");
    this.#used = true;
    let state: TrainState | undefined;
    let session: Session | undefined;
    const closing: TrainerError[] = []; // a failure of the run itself goes before these
    let summary: FitSummary;
    try {
      session = await this.prepare(options.log);
      state = session.createState();
      summary = await this.#run(session, state, options);
    } finally {
      for (const value of [...(state?.weights.values() ?? []), ...(state?.slots.values() ?? [])]) value.dispose();
      closing.push(...this.hooks.endFailures(), ...disposePlugins(this.#plugins));
      for (const { message } of closing) this.events.emit("warning", { message });
      session?.capture.dispose();
    }
    if (closing[0]) throw closing[0];
    return summary;
  }

  async #run(session: Session, state: TrainState, { signal, folder, from, keep }: FitOptions): Promise<FitSummary> {
    const { config, events } = this;
    const { call } = this.hooks;
    const { capture, data, model, inputSize, trainIndices, heldIndices, loaders, stepsPerEpoch } = session;
    const classes = data.classes.length;
    const sizes = { height: data.height, width: data.width, inputSize };
    const totalSteps = config.epochs * stepsPerEpoch;
    const position = beginning();
    const anchor = from && resume(from(), state, position, this.#plugins);
    const since = { ...position };
    const interrupted = (): string | undefined =>
      signal?.aborted ? `interrupted (${signal.reason ?? "stopped"})` : undefined;
    const progress = (): Progress => {
      const { epoch, step } = position;
      return { epoch, epochs: config.epochs, step, stepsPerEpoch, totalSteps };
    };
    const enough = (): string | undefined =>
      position.step >= (config.maxSteps ?? Number.POSITIVE_INFINITY) ? "max steps" : undefined;
    let stopReason = position.ended ?? enough();
    let test: Metrics | undefined;
    let plan: string | undefined;
    const memory = createMemory(state, position, this.#plugins, { keep, policy: config.onDivergence, events, anchor });

    const measure = async (evaluation: Evaluation, split: "validation" | "test"): Promise<Metrics | undefined> => {
      const loader = loaders[split];
      if (!loader) return undefined;
      const cancelled = (): boolean => signal?.aborted ?? false;
      const raw = await evaluate({ model, classes, ...sizes, loader, evaluation, cancelled });
      if (!raw) return undefined;
      const metrics = await call.afterEvaluate(raw, progress());
      events.emit("evaluate:end", {
        ...progress(),
        ...metricsRecord(metrics)!,
        purpose: split === "test" ? "test" : evaluation.purpose,
      });
      return metrics;
    };
    const choose = (purpose: Evaluation["purpose"]): Evaluation =>
      call.beforeEvaluate({ purpose, weights: state.weights, source: "current", views: [plainView] }, progress());
    const summary = (): FitSummary =>
      fitSummary(config, session, this.hooks.costs(), position, { test, stopReason: stopReason ?? "epochs" }, since);

    try {
      await call.onFitStart({
        config,
        data,
        model,
        inputSize,
        folder,
        trainIndices,
        heldIndices,
        backend: session.backend,
        progress: progress(),
        plan: () => (plan ??= formatPlan(makePlan(this, session))),
        weights: () => state.weights,
        replaceWeights: (weights) => replaceWeights(state, weights, progress()),
      });
      const { parameters, backend, backendVersion: _, threads, seed } = summary();
      events.emit("fit:start", {
        ...progress(),
        name: config.name,
        seed,
        backend,
        threads,
        parameters,
        folder,
        batchSize: config.batchSize,
        classes,
        lastStep: Math.min(totalSteps, config.maxSteps ?? totalSteps),
        trainSamples: session.samples.train,
        heldSamples: session.samples.validation,
        testSamples: session.samples.test,
      });
      memory.remember("start");

      while (position.epoch < config.epochs && stopReason === undefined) {
        events.emit("epoch:start", progress());
        const groups: readonly ParamGroup[] = call.resolveParamGroups(session.groups, progress());
        capture.renew();
        const context = {
          model,
          classes,
          ...sizes,
          groups,
          hooks: call,
          isPure: this.hooks.isPure,
          capture,
          optimizer: config.optimizer,
          learningRate: config.learningRate * position.rateFactor,
          seed: config.seed,
        };
        let at = performance.now();
        let again = false; // back to an earlier place
        for await (const raw of loaders.train.epoch(position.epoch, position.batchInEpoch)) {
          let result: StepResult;
          try {
            result = runStep(context, state, raw, { microBatch: position.microBatch, progress: progress() });
          } catch (error) {
            again = memory.recover(error, session.stepsAt[position.batchInEpoch]!) === "again";
            if (again) break;
            continue;
          }
          const figures = advance(position, raw, result, (performance.now() - at) / 1000);
          if (figures) events.emit("step", { ...progress(), ...figures });
          memory.remember("step");
          await new Promise(setImmediate); // a loop of microtasks never sees a signal or a timer
          stopReason = interrupted() ?? enough();
          if (stopReason !== undefined) break;
          at = performance.now();
        }
        if (again) continue;
        const whole = position.batchInEpoch === loaders.train.batchesInEpoch;
        const last = stopReason !== undefined || position.epoch + 1 === config.epochs;
        const due = (position.epoch + 1) % config.evaluateEvery === 0 || last;
        const validation = due && !signal?.aborted ? await measure(choose("validation"), "validation") : undefined;
        const ended = epochSummary(progress(), position, whole, validation);
        position.validation = metricsRecord(validation);
        if (whole) nextEpoch(position);
        await call.onEpochEnd(ended);
        events.emit("epoch:end", epochRecord(ended));
        position.ended = call.shouldStop(ended);
        stopReason ??= interrupted() ?? position.ended;
        if (whole && !signal?.aborted) memory.remember("epoch");
      }
      memory.stop();

      if (!signal?.aborted) {
        const final = choose("final");
        if (final.source !== position.validation?.source)
          position.validation = metricsRecord(await measure(final, "validation"));
        test = await measure(final, "test");
        stopReason ??= interrupted();
      }
      return summary();
    } catch (error) {
      stopReason = `failed: ${reasonOf(error)}`;
      memory.stop({ failure: error });
      throw error;
    } finally {
      const end = summary();
      memory.dispose();
      await call.onFitEnd(end);
      events.emit("fit:end", fitEndRecord(end));
    }
  }
}
