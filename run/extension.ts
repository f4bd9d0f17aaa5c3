/**
 * A run that is resumed with another length. What follows the whole run, such as the learning rate, continues along the new
 * length, so the run is not the one that had it from the start: its record says so.
 */
import type { ConfigRecord } from "../core/config/config.js";
import { short } from "../core/format.js";
import { progressAt } from "../core/loop/position.js";
import type { Progress } from "../core/loop/types.js";

/** One change of a run's length. */
export interface Extension {
  /** Optimizer steps done before: steps after this one follow the new length. */
  readonly atStep: number;
  readonly field: "epochs" | "maxTime";
  readonly from: number;
  readonly to: number;
}

type Length = Pick<ConfigRecord, "epochs" | "maxTime"> & { readonly extended?: readonly Extension[] };

/** The changes of a run's length, the one with which it resumes after `step` steps among them. */
export function extensionsOf(before: Length, after: Length, step: number): Extension[] {
  const fields = ["epochs", "maxTime"] as const;
  const now = fields.flatMap((field): Extension[] => {
    const [from, to] = [before[field], after[field]];
    return from === undefined || to === undefined || from === to ? [] : [{ atStep: step, field, from, to }];
  });
  // A run that resumes from before a change makes the steps up to it again, with the new length.
  const earlier = (before.extended ?? []).map((each) => ({ ...each, atStep: Math.min(each.atStep, step) }));
  return [...earlier, ...now].filter(({ atStep }) => atStep > 0);
}

/** The length that a step (from 1) was made with, and the step after which that length held. */
export function lengthAt(record: Length, step: number): { epochs?: number; since: number } {
  const changes = (record.extended ?? []).filter(({ field }) => field === "epochs");
  const next = changes.findIndex(({ atStep }) => step <= atStep);
  const before = next < 0 ? changes.at(-1) : changes[next - 1];
  return { epochs: next < 0 ? record.epochs : changes[next]!.from, since: before?.atStep ?? 0 };
}

/** One line for people about the change with which a run resumes. `rateAt` is its schedule. */
export function extensionNote(
  { atStep, field, from, to }: Extension,
  { stepsPerEpoch }: Pick<Progress, "stepsPerEpoch">,
  rateAt: (progress: Progress) => number,
): string {
  const what = field === "epochs" ? `${from} to ${to} epochs` : `${from} to ${to} s (maxTime)`;
  const note =
    `The run is changed from ${what} after step ${atStep}: schedules that follow the whole run continue along the new length, ` +
    "so its weights are not those of a run that had it from the start.";
  if (field !== "epochs") return note;
  const last = Math.max(0, Math.min(atStep, from * stepsPerEpoch) - 1);
  const [was, is] = [
    rateAt(progressAt(last, { epochs: from }, { stepsPerEpoch })),
    rateAt(progressAt(atStep, { epochs: to }, { stepsPerEpoch })),
  ];
  return was === is ? note : `${note} The learning rate: ${short(was)} -> ${short(is)}.`;
}
