/** The moments that a run can be gone on from: told to whoever keeps them, and gone back to after a failed step. */
import type { Emitter } from "mitt";
import type { DivergencePolicy } from "../config/settings.js";
import { reasonOf } from "../errors.js";
import { DivergedError } from "./divergence.js";
import type { Events } from "./events.js";
import type { AppliedPlugin } from "./plugin-instances.js";
import { leaveOut, type Position } from "./position.js";
import { disposeSnapshot, restore, type Snapshot, takeSnapshot } from "./snapshot.js";
import type { TrainState } from "./step.js";

/**
 * The start, each micro-batch, each epoch's end; the place that a run went back to; and at the end of the run, or after a
 * failure, the last one again.
 */
export type Moment = "start" | "step" | "epoch" | "back" | "stop";

/** The snapshot is the trainer's and lasts as long as the call. */
export type Keep = (snapshot: Snapshot, moment: Moment) => void;

export interface Memory {
  remember(moment: "start" | "step" | "epoch"): void;
  /** Tells the last moment again; after a failure of the run, a second one is only said. */
  stop(after?: { failure: unknown }): void;
  /**
   * After a step that failed: "next" leaves its micro-batch out, "again" goes on from where the position now is.
   *
   * @param closes whether an optimizer step was due after the micro-batch: what was gathered for it is left out too
   * @throws the error itself where there is nothing to be done about it
   */
  recover(error: unknown, closes: boolean): "next" | "again";
  dispose(): void;
}

export function createMemory(
  state: TrainState,
  position: Position,
  plugins: readonly AppliedPlugin[],
  {
    keep,
    policy,
    events,
    anchor: given,
  }: {
    keep?: Keep;
    policy: DivergencePolicy;
    events: Emitter<Events>;
    /** Of the snapshot that the run goes on from, which is now the memory's. */
    anchor?: Snapshot;
  },
): Memory {
  let good: Snapshot | undefined; // the last moment
  let anchor = given; // the last epoch's end or the start: what a failed step goes back to
  const forget = (snapshot: Snapshot | undefined): void => void (snapshot && disposeSnapshot(snapshot));
  const goesBack = policy !== "halt" && "rollback" in policy;
  const withinEpoch = ({ position: { batchInEpoch } }: Snapshot): boolean => batchInEpoch > 0;
  const tell = (snapshot: Snapshot, moment: Moment): void =>
    keep?.(goesBack && withinEpoch(snapshot) ? { ...snapshot, anchor } : snapshot, moment);
  const remember = (moment: Exclude<Moment, "stop">): void => {
    if (!keep && policy === "halt") return;
    const now = takeSnapshot(state, position, plugins); // a plugin that fails to save leaves the last moment as it is
    forget(good);
    good = now;
    if (goesBack && (!withinEpoch(now) || !anchor)) {
      const next = takeSnapshot(state, position, plugins);
      forget(anchor);
      anchor = next;
    }
    tell(now, moment);
  };
  return {
    remember,
    stop(after) {
      try {
        if (good) tell(good, "stop");
      } catch (error) {
        if (!after) throw error;
        const message = reasonOf(error);
        if (!reasonOf(after.failure).includes(message)) events.emit("warning", { message });
      }
    },
    recover(error, closes) {
      if (!(error instanceof DivergedError)) throw error;
      const { rollbacks, rateFactor, skipped } = position;
      const left = policy === "halt" ? 0 : "skip" in policy ? policy.skip - skipped : policy.rollback - rollbacks;
      if (policy === "halt" || left <= 0) {
        events.emit("diverged", { ...error.divergence });
        throw error;
      }
      const found = error.message.split(". ")[0];
      if ("skip" in policy) {
        restore(good!, state, position, plugins); // what plugins took in from the failed step goes too
        leaveOut(position, closes);
        remember("step");
        events.emit("diverged", { ...error.divergence });
        events.emit("warning", { message: `${found}. Its micro-batch is left out.` });
        return "next";
      }
      restore(anchor!, state, position, plugins);
      position.rollbacks = rollbacks + 1;
      position.rateFactor = rateFactor * policy.factor;
      remember("back"); // what was said of the steps that are made again is taken back, and this is said after it
      events.emit("diverged", { ...error.divergence });
      events.emit("warning", {
        message:
          `${found}. The run goes back to step ${position.step} and on from there with ` +
          `${position.rateFactor} times the learning rate.`,
      });
      return "again";
    },
    dispose() {
      forget(good);
      forget(anchor);
      good = anchor = undefined;
    },
  };
}
