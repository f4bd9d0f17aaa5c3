/**
 * All of a run at one moment: what a resumed run needs to go on with the same bits. Random streams are functions of
 * position and seed, and schedules of the step, so neither has a state of its own.
 *
 * Tensors are clones, which share their values with the originals: taking a snapshot copies no number, and it stays
 * whole while training puts new tensors in the place of old ones.
 */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import type { PluginState } from "./plugin.js";
import { type AppliedPlugin, failureIn } from "./plugin-instances.js";
import type { Position } from "./position.js";
import type { TrainState } from "./step.js";

type Tensors = ReadonlyMap<string, tf.Tensor>;

export interface Snapshot {
  readonly position: Position;
  readonly weights: Tensors;
  /** `<parameter>.<slot>` -> optimizer state. */
  readonly slots: Tensors;
  /** Parameter -> updates it has had. */
  readonly counts: ReadonlyMap<string, number>;
  /** Plugin -> what it saved. */
  readonly plugins: ReadonlyMap<string, PluginState>;
  /** Within an epoch, where failed steps go back: what a step that fails goes back to. */
  readonly anchor?: Snapshot;
}

/** A second owner of the same values. What `clone` does through a kernel, for a tenth of its time: a run does it at
 * every step for every weight. */
function shared<T extends tf.Tensor>(value: T): T {
  const engine = tf.engine();
  engine.backend.incRef(value.dataId);
  const { dataId, shape, dtype } = value;
  return tf.keep(engine.makeTensorFromTensorInfo({ dataId, shape, dtype }) as T);
}

const cloned = (tensors: Tensors): Map<string, tf.Tensor> =>
  new Map([...tensors].map(([name, value]) => [name, shared(value)]));

/** @throws TrainerError ERR_PLUGIN where a plugin's `save` fails; nothing is left behind */
export function takeSnapshot(state: TrainState, position: Position, plugins: readonly AppliedPlugin[]): Snapshot {
  const saved = new Map<string, PluginState>();
  for (const { plugin, instance } of plugins) {
    if (!instance.save) continue;
    try {
      const { values, tensors } = instance.save();
      saved.set(plugin.name, { values: structuredClone(values), tensors: cloned(tensors ?? new Map()) });
    } catch (cause) {
      disposeStates(saved);
      throw failureIn("save", plugin.name, cause);
    }
  }
  return {
    position: structuredClone(position),
    weights: cloned(state.weights),
    slots: cloned(state.slots),
    counts: new Map(state.counts),
    plugins: saved,
  };
}

/** The anchor is somebody else's. */
export function disposeSnapshot({ weights, slots, plugins }: Snapshot): void {
  for (const tensors of [weights, slots]) for (const value of tensors.values()) value.dispose();
  disposeStates(plugins);
}

function disposeStates(states: ReadonlyMap<string, PluginState>): void {
  for (const { tensors = new Map() } of states.values()) for (const value of tensors.values()) value.dispose();
}

/**
 * Puts a run back to a snapshot, which stays as it was.
 *
 * @throws TrainerError ERR_RESUME when it is of another network, optimizer or list of plugins; nothing has changed then
 */
export function restore(
  snapshot: Snapshot,
  state: TrainState,
  position: Position,
  plugins: readonly AppliedPlugin[],
): void {
  mustFit("weights", snapshot.weights, state.weights);
  mustFit("optimizer state", snapshot.slots, state.slots);
  const keeping = plugins.filter(({ instance }) => instance.load);
  const names = keeping.map(({ plugin }) => plugin.name);
  const lacking = names.filter((name) => !snapshot.plugins.has(name));
  const unknown = [...snapshot.plugins.keys()].filter((name) => !names.includes(name));
  if (lacking.length + unknown.length > 0) {
    const parts = [
      lacking.length > 0 ? `it has no state of ${lacking.join(", ")}` : "",
      unknown.length > 0 ? `it has a state of ${unknown.join(", ")}, which the run does not use` : "",
    ];
    throw refused(parts.filter(Boolean).join(", and "));
  }
  for (const key of ["weights", "slots"] as const) {
    for (const value of state[key].values()) value.dispose();
    state[key].clear();
    for (const [name, value] of cloned(snapshot[key])) state[key].set(name, value);
  }
  state.counts.clear();
  for (const [name, count] of snapshot.counts) state.counts.set(name, count);
  for (const key of Object.keys(position) as (keyof Position)[]) delete position[key];
  Object.assign(position, structuredClone(snapshot.position));
  for (const { plugin, instance } of keeping) {
    const { values, tensors } = snapshot.plugins.get(plugin.name)!;
    const given = { values: structuredClone(values), tensors: cloned(tensors ?? new Map()) };
    try {
      instance.load!(given);
    } catch (cause) {
      throw failureIn("load", plugin.name, cause);
    }
  }
}

/** As `restore`, and the snapshot is gone; its anchor is the caller's. */
export function resume(...args: Parameters<typeof restore>): Snapshot | undefined {
  const [{ anchor }] = args;
  try {
    restore(...args);
    return anchor;
  } catch (error) {
    if (anchor) disposeSnapshot(anchor);
    throw error;
  } finally {
    disposeSnapshot(args[0]);
  }
}

function mustFit(what: string, given: Tensors, expected: Tensors): void {
  for (const [name, { shape }] of expected) {
    const found = given.get(name);
    if (!found) throw refused(`its ${what} lack "${name}"`);
    if (String(found.shape) !== String(shape))
      throw refused(`its "${name}" is [${found.shape}], and the run's [${shape}]`);
  }
  const more = [...given.keys()].find((name) => !expected.has(name));
  if (more !== undefined) throw refused(`its ${what} have "${more}", which the run has not`);
}

const refused = (problem: string): TrainerError =>
  new TrainerError("ERR_RESUME", `This run cannot go on from that state: ${problem}. Is it of another config?`);
