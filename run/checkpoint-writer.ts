/** Between a run and its checkpoints: which resume points are saved, and what a snapshot is on disk. */
import * as tf from "@tensorflow/tfjs-core";
import { z } from "zod";
import { TrainerError } from "../core/errors.js";
import type { PluginState } from "../core/loop/plugin.js";
import type { Position } from "../core/loop/position.js";
import type { OnResumePoint } from "../core/loop/recovery.js";
import type { Snapshot } from "../core/loop/snapshot.js";
import { describeIssue } from "../core/options.js";
import { placeName } from "./checkpoint-names.js";
import { type Checkpoint, saveCheckpoint } from "./checkpoints.js";
import type { MetricsLog } from "./metrics.js";
import { discardAfter, pruneCheckpoints } from "./retention.js";

const anyNumber = z.custom<number>((value) => typeof value === "number", "expected a number"); // NaN too
const sums = z.looseObject({
  batches: anyNumber,
  samples: anyNumber,
  loss: anyNumber,
  correct: anyNumber,
  seconds: anyNumber,
});
const position = z.looseObject({
  epoch: z.int().min(0),
  step: z.int().min(0),
  microBatch: z.int().min(0),
  batchInEpoch: z.int().min(0),
  seconds: anyNumber,
  samplesSeen: anyNumber,
  learningRate: anyNumber,
  window: sums,
  sums,
  skipped: z.int().min(0),
  rollbacks: z.int().min(0),
  rateFactor: anyNumber,
  validation: z.looseObject({ loss: anyNumber, top1: anyNumber, source: z.string() }).optional(),
  best: z.looseObject({ metric: z.string(), value: anyNumber, epoch: z.int().min(0), step: z.int().min(0) }).optional(),
  ended: z.string().optional(),
});
const snapshotShape = z.looseObject({
  position,
  counts: z.record(z.string(), anyNumber),
  plugins: z.record(z.string(), z.unknown()),
  metricsBytes: z.int().min(0),
});
const metaShape = snapshotShape.extend({ anchor: snapshotShape.optional(), config: z.string().optional() });

/** What a checkpoint holds beside its tensors. */
export interface CheckpointMeta extends Record<string, unknown> {
  position: Position;
  /** Parameter -> updates it has had. */
  counts: Record<string, number>;
  /** Plugin -> its values. */
  plugins: Record<string, unknown>;
  /** Length of the metrics at this point: what lies behind it belongs to steps that a resumed run makes again. */
  metricsBytes: number;
  /** Of what a step that fails goes back to. */
  anchor?: CheckpointMeta;
  /** `configHash` of the run's config; checkpoints of 0.1.0 lack it. */
  config?: string;
}

/** @throws TrainerError ERR_DATA with the field, for a checkpoint that is whole, but not of this program */
export function metaOfCheckpoint(checkpoint: Checkpoint): CheckpointMeta {
  const result = metaShape.safeParse(checkpoint.meta);
  if (result.success) return checkpoint.meta as CheckpointMeta;
  const [problem] = describeIssue(result.error.issues[0]!, metaShape, checkpoint.meta);
  throw new TrainerError("ERR_DATA", `Checkpoint ${placeName(checkpoint)}, meta.json: ${problem}.`);
}

type Values = Map<string, { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array }>;

const kinds = ["weights", "slots", "taps"] as const;
const pluginPrefix = "plugins";
const anchorPrefix = "anchor";

/** A snapshot as numbers; reads every tensor from the device. `metricsBytes` are of the snapshot and of its anchor. */
export function toCheckpoint(snapshot: Snapshot, metricsBytes: number, anchorBytes = 0): Checkpoint {
  const { anchor } = snapshot;
  const anchorValues = anchor
    ? [...valuesOf(anchor)].map(([name, value]) => [`${anchorPrefix}/${name}`, value] as const)
    : [];
  return {
    ...placeOf(snapshot.position),
    tensors: new Map([...valuesOf(snapshot), ...anchorValues]),
    meta: { ...metaOf(snapshot, metricsBytes), ...(anchor && { anchor: metaOf(anchor, anchorBytes) }) },
  };
}

function metaOf({ position, counts, plugins }: Snapshot, metricsBytes: number): CheckpointMeta {
  return {
    position,
    counts: Object.fromEntries(counts),
    plugins: Object.fromEntries([...plugins].map(([plugin, { values }]) => [plugin, values ?? null])),
    metricsBytes,
  };
}

function valuesOf(snapshot: Snapshot): Values {
  const named: [string, tf.Tensor][] = [];
  for (const kind of kinds) for (const [name, value] of snapshot[kind]) named.push([`${kind}/${name}`, value]);
  for (const [plugin, { tensors }] of snapshot.plugins) {
    for (const [name, value] of tensors ?? []) named.push([`${pluginPrefix}/${plugin}/${name}`, value]);
  }
  return new Map(named.map(([name, value]) => [name, { shape: value.shape, data: value.dataSync() as Float32Array }]));
}

/** A snapshot again; its tensors are the caller's. */
export function fromCheckpoint(checkpoint: Checkpoint): Snapshot {
  const { tensors } = checkpoint;
  const meta = metaOfCheckpoint(checkpoint);
  const { anchor } = meta;
  return {
    ...snapshotOf(tensors, meta),
    ...(anchor && { anchor: snapshotOf(tensors, anchor, `${anchorPrefix}/`) }),
  };
}

function snapshotOf(
  tensors: Checkpoint["tensors"],
  { position, counts, plugins }: CheckpointMeta,
  whose = "",
): Snapshot {
  const under = (what: string): Map<string, tf.Tensor> => {
    const prefix = `${whose}${what}/`;
    const found = [...tensors].filter(([name]) => name.startsWith(prefix));
    return new Map(
      found.map(([name, { shape, data }]) => [
        name.slice(prefix.length),
        tf.keep(tf.tensor(data, [...shape], data instanceof Int32Array ? "int32" : "float32")),
      ]),
    );
  };
  const states = Object.entries(plugins).map(([plugin, values]): [string, PluginState] => [
    plugin,
    { values: values ?? undefined, tensors: under(`${pluginPrefix}/${plugin}`) },
  ]);
  return {
    position,
    counts: new Map(Object.entries(counts)),
    weights: under("weights"),
    slots: under("slots"),
    taps: under("taps"),
    plugins: new Map(states),
  };
}

/**
 * A checkpoint's place among the others: optimizer steps done, and within one step the micro-batches after it, the
 * end of the epoch last.
 */
function placeOf({ step, window, batchInEpoch, epoch }: Position): { step: number; part: number } {
  return { step, part: 2 * window.batches + Number(batchInEpoch === 0 && epoch > 0) };
}

/** Whether a checkpoint's place is one where no micro-batch waits for its optimizer step. */
export const isBetweenSteps = ({ part }: { part: number }): boolean => part < 2;

export interface CheckpointWriterOptions {
  /** `<run>/checkpoints`. */
  folder: string;
  /** Optimizer steps between two checkpoints; those at the end of epochs and where a run stops come beside them. */
  every?: number;
  /** `configHash` of the run's config, for checkpoints to carry. */
  config?: string;
  /** The run's metrics, where it has them. */
  metrics?: Pick<MetricsLog, "bytes" | "sync" | "cut">;
  /** Throws where the folder is not the run's any more; called before anything is written. */
  mayWrite?: () => void;
  /** The checkpoint that the run resumes from. */
  from?: Checkpoint;
  onSaved?: (saved: { path: string; step: number; bytes: number }) => void;
  /** Called for each removed checkpoint: those after the point that the run resumes from. */
  onRemoved?: (path: string) => void;
}

/**
 * Writes checkpoints: receives the resume points of `fit`. Deletes older ones but for the last two and that of the best epoch
 * (by the config's `monitor`), and those after the point that a run resumes from, since its further steps may differ.
 *
 * @throws TrainerError ERR_IO when one cannot be written; after that it writes no more, so that the failure is reported once
 */
export function createCheckpointWriter({
  folder,
  every,
  config,
  metrics,
  mayWrite,
  from,
  onSaved,
  onRemoved,
}: CheckpointWriterOptions): OnResumePoint {
  let failed = false;
  let kept = -1; // micro-batches done at the last checkpoint, half a one more at the end of an epoch
  let bytes = 0; // of the metrics at the last point: what an interrupted epoch reports after it is reported again
  // Where a rollback cuts the metrics. A checkpoint of a run that did not roll back has no anchor: the start here is one.
  let anchorBytes = (from?.meta as CheckpointMeta | undefined)?.anchor?.metricsBytes;
  const continueFrom = (position: Position): void => {
    for (const path of discardAfter(folder, placeOf(position))) onRemoved?.(path);
    kept = -1;
  };
  return (snapshot, point) => {
    const { position } = snapshot;
    const { step, microBatch, batchInEpoch, best, window } = position;
    if (failed) return;
    try {
      mayWrite?.();
      if (point === "rollback") metrics?.cut(anchorBytes ?? 0);
      if (point === "rollback" || point === "start") continueFrom(position);
      if (point !== "stop") bytes = metrics?.bytes ?? 0;
      const isAnchor = batchInEpoch === 0 || anchorBytes === undefined;
      if (point === "epoch" || (point === "start" && isAnchor)) anchorBytes = bytes;
      const place = microBatch + (batchInEpoch === 0 ? 0.5 : 0);
      const due = {
        start: false,
        step: every !== undefined && window.batches === 0 && step > 0 && step % every === 0,
        epoch: true,
        rollback: false,
        stop: microBatch > 0,
      }[point];
      if (!due || place === kept) return;
      metrics?.sync(); // they must be there when the checkpoint is
      const { meta, ...checkpoint } = toCheckpoint(snapshot, bytes, anchorBytes);
      const saved = saveCheckpoint(folder, { ...checkpoint, meta: config === undefined ? meta : { ...meta, config } });
      kept = place;
      pruneCheckpoints(folder, { keep: 2, best: best?.step });
      onSaved?.({ path: saved.path, step, bytes: saved.bytes });
    } catch (cause) {
      failed = true;
      throw cause;
    }
  };
}
