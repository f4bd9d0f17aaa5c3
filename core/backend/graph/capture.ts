/**
 * Runs a function of tensors as one TensorFlow graph: bit-identical to its single operations, without the time between
 * them.
 *
 * A graph is used once two recordings in a row were equal to the byte, and again after each `renew`. A graph freezes any
 * number that is not an input, and two recordings show such a number as a difference. TensorFlow may fuse operations to
 * other bits; so the first run of a graph is compared with its operations, and a graph that differs is not used.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { reasonOf } from "../../errors.js";
import { currentNativeCalls, type NativeCalls, type NativeConstants, type OutputInfo } from "./native-calls.js";
import { type Compute, type Draw, type Handles, isSame, type Recording, record, type Tensors } from "./recorder.js";

export interface Capture {
  /**
   * The result of `compute` for these inputs. `name` identifies the computation, also in messages: another computation on
   * inputs of the same names and shapes needs another name.
   */
  run(name: string, compute: Compute, inputs: Tensors, draw: Draw): Tensors;
  /** Records every computation again before its graph is used again, and drops those not used since the last call. */
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
  | { readonly is: "eager" }
  | { readonly is: "recording"; readonly recording?: Recording; readonly graph?: Graph }
  // The graph is loaded when it is first needed: an epoch's last, shorter batch is recorded once an epoch, and no more.
  | { readonly is: "captured"; readonly recording: Recording; readonly graph?: Graph };

/** A recording that TensorFlow has loaded. */
interface Graph {
  readonly session: number;
  /** Ids of the recording's constants. */
  readonly constants: readonly number[];
}

/** So many recordings in a row may differ before a computation stays eager. */
const mostChanges = 3;

type Backend = Handles & {
  createOutputTensor(info: OutputInfo): tf.Tensor;
  /** The native calls as tf.js makes them, with bfloat16. */
  binding: NativeCalls;
  isUsingGpuDevice: boolean;
};

/**
 * Capture on the current backend; `eager` where that is not TensorFlow on a processor, since graphs take and give values
 * in the memory of the processor.
 *
 * @param report receives one line for each computation that stays eager, with the reason
 */
export function createCapture(report: (message: string) => void): Capture {
  const native = currentNativeCalls();
  const backend = tf.backend() as unknown as Backend;
  if (!native) return eager;
  if (backend.isUsingGpuDevice) {
    report("Steps run operation by operation: as a graph, each would carry every weight from the GPU and back.");
    return eager;
  }
  const entries = new Map<string, Entry>();
  const reported = new Set<string>(); // one line for a computation of many shapes
  /** Gives a computation another state. Its graph is freed unless the new state has it too. */
  function setState(entry: Entry, state: State): void {
    const [before, after] = [graphOf(entry.state), graphOf(state)];
    entry.state = state;
    if (!before || before === after) return;
    native!.deleteSavedModel(before.session);
    for (const id of before.constants) native!.deleteTensor(id);
  }

  /** Runs a computation operation by operation from now on. */
  function stayEager(name: string, entry: Entry, reason: string): void {
    setState(entry, { is: "eager" });
    if (!reported.has(name)) report(`The ${name} runs operation by operation, not as one graph: ${reason}.`);
    reported.add(name);
  }

  /** Runs and records a computation; it is captured where the recording before was equal. */
  function recordRun(name: string, entry: Entry, compute: Compute, inputs: Tensors, draw: Draw): Tensors {
    const { outputs, recording } = record(compute, inputs, draw, { native: native!, backend });
    const before = "recording" in entry.state ? entry.state : undefined;
    if (recording.problem !== undefined) stayEager(name, entry, recording.problem);
    else if (recording.aliased) setState(entry, { is: "recording" });
    else if (before?.recording && isSame(before.recording, recording)) {
      entry.changes = 0;
      setState(entry, { is: "captured", recording: before.recording, graph: before.graph });
    } else if (++entry.changes > mostChanges) {
      stayEager(name, entry, "it computes something else each time, or uses numbers that are no inputs");
    } else setState(entry, { is: "recording", recording });
    return outputs;
  }

  /** The first run of a graph, compared with its operations. */
  function compareRun(
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
        const graph = load(native!, recording);
        setState(entry, { is: "captured", recording, graph });
        let next = 0;
        const found = runGraph(backend, graph, recording, inputs, () => drawn[next++]!.clone());
        const other = Object.keys(outputs).find((each) => !sameBits(outputs[each]!, found[each]!));
        tf.dispose(Object.values(found));
        if (other !== undefined) stayEager(name, entry, `TensorFlow computes "${other}" of the graph to other bits`);
      } catch (error) {
        stayEager(name, entry, `the graph cannot be run (${reasonOf(error)})`);
      }
      return outputs;
    } finally {
      tf.dispose(drawn);
    }
  }

  return {
    run(name, compute, inputs, draw) {
      const key = `${name}: ${describeInputs(inputs, backend)}`;
      const entry = entries.get(key) ?? { state: { is: "recording" }, used: true, changes: 0 };
      entries.set(key, entry);
      entry.used = true;
      const { state } = entry;
      switch (state.is) {
        case "eager":
          return eager.run(name, compute, inputs, draw);
        case "recording":
          return tf.tidy(() => recordRun(name, entry, compute, inputs, draw) as tf.TensorContainerObject) as Tensors;
        case "captured":
          if (!state.graph) return compareRun(name, entry, state.recording, compute, inputs, draw);
          return runGraph(backend, state.graph, state.recording, inputs, draw);
      }
    },
    renew() {
      for (const [key, entry] of entries) {
        if (!entry.used) {
          setState(entry, { is: "recording" });
          entries.delete(key);
        }
        if (entry.state.is === "captured") setState(entry, { ...entry.state, is: "recording" });
        Object.assign(entry, { used: false, changes: 0 });
      }
    },
    dispose() {
      for (const entry of entries.values()) setState(entry, { is: "recording" });
      entries.clear();
    },
  };
}

const graphOf = (state: State): Graph | undefined => ("graph" in state ? state.graph : undefined);

/** TensorFlow does not check the shapes of feeds, so names, types and shapes together identify a graph. */
const describeInputs = (inputs: Tensors, { tensorMap }: Backend): string =>
  Object.entries(inputs)
    .map(([name, { dataId, shape }]) => `${name}:${tensorMap.get(dataId).dtype}[${shape}]`)
    .join(" ");

const sameBits = (a: tf.Tensor, b: tf.Tensor): boolean => {
  const [x, y] = [a, b].map((tensor) => tensor.dataSync()) as [Float32Array, Float32Array];
  return Buffer.from(x.buffer, x.byteOffset, x.byteLength).equals(Buffer.from(y.buffer, y.byteOffset, y.byteLength));
};

/** Loads a graph. TensorFlow reads it from a folder, which is removed before this returns. */
function load(native: NativeCalls & NativeConstants, { model, constants }: Recording): Graph {
  const folder = mkdtempSync(join(tmpdir(), "fitloop-graph-"));
  try {
    writeFileSync(join(folder, "saved_model.pb"), model);
    const session = native.loadSavedModel(folder, "train");
    return {
      session,
      constants: constants.map(({ shape, values }) => native.createTensor(shape, native.TF_FLOAT, values)),
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
  // Outputs at one place are separate tensors, and a fed output is a copy.
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
