/**
 * The whole state of a run at one point: what a resumed run needs for the same bits. Random streams are functions of
 * position and seed, and schedules of the step, so neither has a state of its own.
 *
 * Tensors are clones that share their values with the originals: a snapshot copies no number, and stays whole while
 * training replaces tensors.
 */
import * as tf from "@tensorflow/tfjs-core";
import { TrainerError } from "../errors.js";
import type { PluginState } from "./plugin.js";
import { type AppliedPlugin, failureIn } from "./plugin-instances.js";
import type { Position } from "./position.js";
import type { TrainState } from "./state.js";

type Tensors = ReadonlyMap<string, tf.Tensor>;

export interface Snapshot {
  readonly position: Position;
  readonly weights: Tensors;
  /** `<parameter>.<slot>` -> optimizer state. */
  readonly slots: Tensors;
  /** `<plugin>/<name>` -> what a tap of `afterStep` owns. */
  readonly taps: Tensors;
  /** Parameter -> updates it has had. */
  readonly counts: ReadonlyMap<string, number>;
  /** Plugin -> what it saved. */
  readonly plugins: ReadonlyMap<string, PluginState>;
  /** Within an epoch, with `onDivergence: { rollback }`: what a failed step goes back to. */
  readonly anchor?: Snapshot;
}

/** A second owner of the same values: `clone` without a kernel, in a tenth of its time. A run needs it at every step. */
function shared<T extends tf.Tensor>(value: T): T {
  const engine = tf.engine();
  engine.backend.incRef(value.dataId);
  const { dataId, shape, dtype } = value;
  return tf.keep(engine.makeTensorFromTensorInfo({ dataId, shape, dtype }) as T);
}

/** Second owners of the same values, for the caller to dispose of. */
export const cloned = (tensors: Tensors): Map<string, tf.Tensor> =>
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
    taps: cloned(state.taps),
    counts: new Map(state.counts),
    plugins: saved,
  };
}

/** The anchor belongs to somebody else. */
export function disposeSnapshot({ weights, slots, taps, plugins }: Snapshot): void {
  disposeAll(weights);
  disposeAll(slots);
  disposeAll(taps);
  disposeStates(plugins);
}

function disposeStates(states: ReadonlyMap<string, PluginState>): void {
  for (const { tensors } of states.values()) if (tensors) disposeAll(tensors);
}

export function disposeAll(tensors: Tensors): void {
  for (const value of tensors.values()) value.dispose();
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
      unknown.length > 0 ? `it has state of ${unknown.join(", ")}, unknown to the run` : "",
    ];
    throw refused(parts.filter(Boolean).join(", and "));
  }
  for (const key of ["weights", "slots", "taps"] as const) {
    disposeAll(state[key]);
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

/** As `restore`, and frees the snapshot; its anchor is the caller's. */
export function resumeFrom(...args: Parameters<typeof restore>): Snapshot | undefined {
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
    if (!found) throw refused(`its ${what} have no "${name}"`);
    if (String(found.shape) !== String(shape)) throw refused(`expected [${shape}] for "${name}", got [${found.shape}]`);
  }
  const more = [...given.keys()].find((name) => !expected.has(name));
  if (more !== undefined) throw refused(`its ${what} have "${more}", unknown to the run`);
}

const refused = (problem: string): TrainerError =>
  new TrainerError(
    "ERR_RESUME",
    `This run cannot resume from that state: ${problem}. Use the config that the state was saved with.`,
  );
