/** The moments that a run can be gone on from: told to whoever keeps them, and gone back to after a failed step. */
import type { Emitter } from "mitt";
import type { Divergence as DivergencePolicy } from "../config/config.js";
import { reasonOf } from "../errors.js";
import { DivergedError } from "./divergence.js";
import type { Events } from "./events.js";
import type { AppliedPlugin } from "./plugin.js";
import type { Position } from "./position.js";
import { disposeSnapshot, restore, takeSnapshot, type Snapshot } from "./snapshot.js";
import type { TrainState } from "./step.js";

/** The start, each micro-batch, each epoch's end; and at the end of the run, or after a failure, the last one again. */
export type Moment = "start" | "step" | "epoch" | "stop";

/** The snapshot is the trainer's and lasts as long as the call. */
export type Keep = (snapshot: Snapshot, moment: Moment) => void;

export interface Memory {
  remember(moment: Exclude<Moment, "stop">): void;
  /** Tells the last moment again; after a failure of the run, a second one is only said. */
  stop(after?: { failure: unknown }): void;
  /**
   * After a step that failed: "next" leaves its micro-batch out, "again" goes on from where the position now is.
   *
   * @throws the error itself where there is nothing to be done about it
   */
  recover(error: unknown): "next" | "again";
  dispose(): void;
}

export function createMemory(
  state: TrainState,
  position: Position,
  plugins: readonly AppliedPlugin[],
  { keep, policy, events }: { keep?: Keep; policy: DivergencePolicy; events: Emitter<Events> },
): Memory {
  let good: Snapshot | undefined; // the last moment
  let anchor: Snapshot | undefined; // the start or the last epoch's end
  const forget = (snapshot: Snapshot | undefined): void => void (snapshot && disposeSnapshot(snapshot));
  const goesBack = policy !== "halt" && "rollback" in policy;
  const remember = (moment: Exclude<Moment, "stop">): void => {
    if (!keep && policy === "halt") return;
    forget(good);
    good = takeSnapshot(state, position, plugins);
    if (goesBack && moment !== "step") {
      forget(anchor);
      anchor = takeSnapshot(state, position, plugins);
    }
    keep?.(good, moment);
  };
  return {
    remember,
    stop(after) {
      try {
        if (good) keep?.(good, "stop");
      } catch (error) {
        if (!after) throw error;
        const message = reasonOf(error);
        if (!reasonOf(after.failure).includes(message)) events.emit("warning", { message });
      }
    },
    recover(error) {
      if (!(error instanceof DivergedError)) throw error;
      events.emit("diverged", { ...error.divergence });
      if (policy === "halt") throw error;
      if ("skip" in policy) {
        if (position.skipped >= policy.skip) throw error;
        restore(good!, state, position, plugins); // what plugins took in from the failed step goes too
        position.skipped++;
        position.microBatch++;
        position.batchInEpoch++;
        remember("step");
        events.emit("warning", { message: `${error.message.split(". ")[0]}. Its micro-batch is left out.` });
        return "next";
      }
      const { rollbacks, rateFactor } = position;
      if (rollbacks >= policy.rollback) throw error;
      restore(anchor!, state, position, plugins);
      position.rollbacks = rollbacks + 1;
      position.rateFactor = rateFactor * policy.factor;
      const message =
        `${error.message.split(". ")[0]}. The run goes back to step ${position.step} and on from there with ` +
        `${position.rateFactor} times the learning rate.`;
      events.emit("warning", { message });
      return "again";
    },
    dispose() {
      forget(good);
      forget(anchor);
      good = anchor = undefined;
    },
  };
}
