/** Points from which a run can resume. Passed to the checkpoint writer; restored after a failed step. */
import type { Emitter } from "mitt";
import type { DivergencePolicy } from "../config/settings.js";
import { reasonOf } from "../errors.js";
import { DivergedError } from "./divergence.js";
import type { Events } from "./events.js";
import type { AppliedPlugin } from "./plugin-instances.js";
import { leaveOut, type Position } from "./position.js";
import { disposeSnapshot, restore, type Snapshot, takeSnapshot } from "./snapshot.js";
import type { TrainState } from "./state.js";

/**
 * Where a resume point lies: the start, after a micro-batch, after an epoch, where a rollback ended; and the last point
 * once more at the end of the run or after a failure.
 */
export type ResumePointKind = "start" | "step" | "epoch" | "rollback" | "stop";

/** Receives resume points. The snapshot is the trainer's and lasts as long as the call. */
export type OnResumePoint = (snapshot: Snapshot, point: ResumePointKind) => void;

export interface Recovery {
  /** Makes the state as it is now the last resume point. */
  mark(point: "start" | "step" | "epoch"): void;
  /** Passes the last point on again. After a failure of the run, a failure to do so is a warning only. */
  stop(after?: { failure: unknown }): void;
  /**
   * Restores a point after a failed step: "skipped" leaves its micro-batch out, "rolled back" returns to the anchor,
   * and the run continues from there.
   *
   * @param closes whether an optimizer step was due after the micro-batch: gradients accumulated for it are dropped too
   * @throws the error itself where the policy is "halt" or used up, or where the error is no divergence
   */
  recover(error: unknown, closes: boolean): "skipped" | "rolled back";
  dispose(): void;
}

export interface RecoveryOptions {
  onResumePoint?: OnResumePoint;
  policy: DivergencePolicy;
  events: Emitter<Events>;
  /** The anchor of the snapshot that the run resumed from; it belongs to the recovery from here on. */
  anchor?: Snapshot;
}

export function createRecovery(
  state: TrainState,
  position: Position,
  plugins: readonly AppliedPlugin[],
  { onResumePoint, policy, events, anchor: given }: RecoveryOptions,
): Recovery {
  let last: Snapshot | undefined; // the last resume point
  let anchor = given; // the last epoch's end or the start: what a rollback restores
  const free = (snapshot: Snapshot | undefined): void => void (snapshot && disposeSnapshot(snapshot));
  const rollsBack = policy !== "halt" && "rollback" in policy;
  const withinEpoch = ({ position: { batchInEpoch } }: Snapshot): boolean => batchInEpoch > 0;
  const passOn = (snapshot: Snapshot, point: ResumePointKind): void =>
    onResumePoint?.(rollsBack && withinEpoch(snapshot) ? { ...snapshot, anchor } : snapshot, point);
  const mark = (point: Exclude<ResumePointKind, "stop">): void => {
    if (!onResumePoint && policy === "halt") return;
    const now = takeSnapshot(state, position, plugins); // a plugin that fails to save leaves the last point as it is
    free(last);
    last = now;
    if (rollsBack && (!withinEpoch(now) || !anchor)) {
      const next = takeSnapshot(state, position, plugins);
      free(anchor);
      anchor = next;
    }
    passOn(now, point);
  };
  return {
    mark,
    stop(after) {
      try {
        if (last) passOn(last, "stop");
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
        restore(last!, state, position, plugins); // what plugins took in from the failed step goes too
        leaveOut(position, closes);
        mark("step");
        events.emit("diverged", { ...error.divergence });
        events.emit("warning", { message: `${found}. The run skips this micro-batch.` });
        return "skipped";
      }
      const { seconds } = position;
      restore(anchor!, state, position, plugins);
      position.seconds = seconds; // the time was spent, and `maxTime` counts it
      position.rollbacks = rollbacks + 1;
      position.rateFactor = rateFactor * policy.factor;
      mark("rollback"); // drops what was recorded of the steps that are repeated; the events below come after it
      events.emit("diverged", { ...error.divergence });
      const factor = position.rateFactor;
      const message = `${found}. The run rolls back to step ${position.step} and continues at ${factor} times the rate.`;
      events.emit("warning", { message });
      return "rolled back";
    },
    dispose() {
      free(last);
      free(anchor);
      last = anchor = undefined;
    },
  };
}
