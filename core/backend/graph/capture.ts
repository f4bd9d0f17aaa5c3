/**
 * Running a function of tensors as one TensorFlow graph: the bits are those of the single operations, the time between
 * them is gone.
 *
 * A graph is trusted once two recordings in a row were the same to the byte, and again at each `renew`: a number that
 * a function takes from elsewhere than its inputs would be frozen in the graph, and shows as a difference if it is another
 * one by then. TensorFlow may fuse operations of a graph to other bits; so at its first run the operations run too, and one
 * that differs is not used.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { reasonOf } from "../../errors.js";
import { type Border, type Constants, currentBorder, type OutputInfo } from "./native-calls.js";
import { type Compute, type Draw, type Handles, isSame, type Recording, record, type Tensors } from "./recorder.js";

export interface Capture {
  /**
   * What `compute` gives for these inputs. `name` says what is computed, for people too; what would compute something else
   * for inputs of the same names and shapes needs another name.
   */
  run(name: string, compute: Compute, inputs: Tensors, draw: Draw): Tensors;
  /** Looks at every computation anew before its graph is used again, and drops those that were not used since. */
  renew(): void;
  dispose(): void;
}

/** A function of tensors, operation by operation. */
export const eager: Capture = {
  run: (_, compute, inputs, draw) =>
    tf.tidy(() => compute(inputs, draw, () => {}) as tf.TensorContainerObject) as Tensors,
  renew: () => {},
  dispose: () => {},
};

/** What is known of one computation for inputs of one kind. */
interface Entry {
  state: State;
  used: boolean;
  /** Recordings in a row that differed from the one before. */
  changes: number;
}

type State =
  | { readonly is: "left to single operations" }
  | { readonly is: "to be looked at"; readonly recording?: Recording; readonly graph?: Graph }
  // The graph is loaded when it is first needed: an epoch's last, shorter batch is looked at once an epoch, and no more.
  | { readonly is: "trusted"; readonly recording: Recording; readonly graph?: Graph };

/** A recording that TensorFlow has loaded. */
interface Graph {
  readonly session: number;
  /** Ids of the recording's constants. */
  readonly constants: readonly number[];
}

/** So many recordings of one computation may differ in a row before it is left to single operations. */
const mostChanges = 3;

type Backend = Handles & {
  createOutputTensor(info: OutputInfo): tf.Tensor;
  /** The border as tf.js sees it, which knows bfloat16. */
  binding: Border;
  isUsingGpuDevice: boolean;
};

/**
 * Capture on the current backend; `eager` where that is not TensorFlow on a processor, since graphs take and give values
 * in the memory of the processor.
 *
 * @param tell told in one line of each computation that stays eager, and why
 */
export function createCapture(tell: (message: string) => void): Capture {
  const border = currentBorder();
  const backend = tf.backend() as unknown as Backend;
  if (!border) return eager;
  if (backend.isUsingGpuDevice) {
    tell("Steps run operation by operation: as a graph, each would carry every weight from the GPU and back.");
    return eager;
  }
  const entries = new Map<string, Entry>();
  const told = new Set<string>(); // computations of many shapes are told of once
  /** Gives a computation another state; its graph goes, unless it is in that too. */
  function become(entry: Entry, state: State): void {
    const [before, after] = [graphOf(entry.state), graphOf(state)];
    entry.state = state;
    if (!before || before === after) return;
    border!.deleteSavedModel(before.session);
    for (const id of before.constants) border!.deleteTensor(id);
  }

  /** Has a computation run operation by operation from now on. */
  function leave(name: string, entry: Entry, reason: string): void {
    become(entry, { is: "left to single operations" });
    if (!told.has(name)) tell(`The ${name} runs operation by operation, not as one graph: ${reason}.`);
    told.add(name);
  }

  /** Runs a computation and looks at it; it is trusted where the recording before was the same. */
  function look(name: string, entry: Entry, compute: Compute, inputs: Tensors, draw: Draw): Tensors {
    const { outputs, recording } = record(compute, inputs, draw, { border: border!, backend });
    const before = "recording" in entry.state ? entry.state : undefined;
    if (recording.problem !== undefined) leave(name, entry, recording.problem);
    else if (recording.aliased) become(entry, { is: "to be looked at" });
    else if (before?.recording && isSame(before.recording, recording)) {
      entry.changes = 0;
      become(entry, { is: "trusted", recording: before.recording, graph: before.graph });
    } else if (++entry.changes > mostChanges) {
      leave(name, entry, "it computes something else each time, or uses numbers that are no inputs");
    } else become(entry, { is: "to be looked at", recording });
    return outputs;
  }

  /** The first run of a graph, beside its operations. */
  function prove(
    name: string,
    entry: Entry,
    recording: Recording,
    compute: Compute,
    inputs: Tensors,
    draw: Draw,
  ): Tensors {
    const drawn: tf.Tensor[] = [];
    try {
      const outputs = eager.run(name, compute, inputs, (what, shape) => {
        const tensor = draw(what, shape);
        drawn.push(tf.keep(tensor.clone()));
        return tensor;
      });
      try {
        const graph = load(border!, recording);
        become(entry, { is: "trusted", recording, graph });
        let next = 0;
        const found = runGraph(backend, graph, recording, inputs, () => drawn[next++]!.clone());
        const other = Object.keys(outputs).find((each) => !sameBits(outputs[each]!, found[each]!));
        tf.dispose(Object.values(found));
        if (other !== undefined) leave(name, entry, `TensorFlow computes "${other}" of the graph to other bits`);
      } catch (error) {
        leave(name, entry, `the graph cannot be run (${reasonOf(error)})`);
      }
      return outputs;
    } finally {
      tf.dispose(drawn);
    }
  }

  return {
    run(name, compute, inputs, draw) {
      const key = `${name}: ${describeInputs(inputs, backend)}`;
      const entry = entries.get(key) ?? { state: { is: "to be looked at" }, used: true, changes: 0 };
      entries.set(key, entry);
      entry.used = true;
      const { state } = entry;
      switch (state.is) {
        case "left to single operations":
          return eager.run(name, compute, inputs, draw);
        case "to be looked at":
          return tf.tidy(() => look(name, entry, compute, inputs, draw) as tf.TensorContainerObject) as Tensors;
        case "trusted":
          if (!state.graph) return prove(name, entry, state.recording, compute, inputs, draw);
          return runGraph(backend, state.graph, state.recording, inputs, draw);
      }
    },
    renew() {
      for (const [key, entry] of entries) {
        if (!entry.used) {
          become(entry, { is: "to be looked at" });
          entries.delete(key);
        }
        if (entry.state.is === "trusted") become(entry, { ...entry.state, is: "to be looked at" });
        Object.assign(entry, { used: false, changes: 0 });
      }
    },
    dispose() {
      for (const entry of entries.values()) become(entry, { is: "to be looked at" });
      entries.clear();
    },
  };
}

const graphOf = (state: State): Graph | undefined => ("graph" in state ? state.graph : undefined);

/** TensorFlow checks no shape of what a graph is fed, so that names, types and shapes tell graphs apart. */
const describeInputs = (inputs: Tensors, { tensorMap }: Backend): string =>
  Object.entries(inputs)
    .map(([name, { dataId, shape }]) => `${name}:${tensorMap.get(dataId).dtype}[${shape}]`)
    .join(" ");

const sameBits = (a: tf.Tensor, b: tf.Tensor): boolean => {
  const [x, y] = [a, b].map((tensor) => tensor.dataSync()) as [Float32Array, Float32Array];
  return Buffer.from(x.buffer, x.byteOffset, x.byteLength).equals(Buffer.from(y.buffer, y.byteOffset, y.byteLength));
};

/** Loads a graph; TensorFlow reads it from a folder, which is gone again when this returns. */
function load(border: Border & Constants, { model, constants }: Recording): Graph {
  const folder = mkdtempSync(join(tmpdir(), "fitloop-graph-"));
  try {
    writeFileSync(join(folder, "saved_model.pb"), model);
    const session = border.loadSavedModel(folder, "train");
    return {
      session,
      constants: constants.map(({ shape, values }) => border.createTensor(shape, border.TF_FLOAT, values)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runGraph(
  backend: Backend,
  graph: Graph,
  { draws, feeds, fetches, constants }: Recording,
  inputs: Tensors,
  draw: Draw,
): Tensors {
  const fed = [...Object.values(inputs), ...draws.map(({ name, shape }) => draw(name, shape))];
  const values = new Map(fed.map((tensor, index) => [feeds[index]!, tensor]));
  const made = new Map(constants.map((constant) => [constant.place, constant]));
  const places = [...new Set(Object.values(fetches))].filter((place) => !values.has(place) && !made.has(place));
  const ids = [...backend.getInputTensorIds(fed), ...graph.constants];
  const found = backend.binding.runSavedModel(
    graph.session,
    ids,
    [...feeds, ...made.keys()].join(","),
    places.join(","),
  );
  found.forEach((info, index) => values.set(places[index]!, backend.createOutputTensor(info)));
  // Two outputs of one place are two tensors, and an output that is fed is another one.
  const taken = new Set(feeds);
  const own = (place: string): tf.Tensor => {
    const constant = made.get(place);
    if (constant) return tf.tensor(constant.values, constant.shape, "float32");
    const value = values.get(place)!;
    if (taken.has(place)) return value.clone();
    taken.add(place);
    return value;
  };
  const outputs = Object.fromEntries(Object.entries(fetches).map(([name, place]) => [name, own(place)]));
  tf.dispose(fed.slice(Object.keys(inputs).length));
  return outputs;
}
