/**
 * Backward pass over tf.js' tape that frees each value after its last use. tf.js' own backward pass keeps all saved values and
 * every gradient to the end, which takes two to three times the memory; the operations and their order are the same.
 */
import * as tf from "@tensorflow/tfjs-core";
import { isBfloat16 } from "../backend/bfloat16.js";

/** One operation on the tape. */
interface TapeNode {
  readonly kernelName: string;
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  readonly outputs: readonly tf.Tensor[];
  /** Clones for the backward pass. */
  readonly saved: readonly tf.Tensor[];
  /** null for an output that nothing differentiable was made of. */
  readonly gradient?: (dys: (tf.Tensor | null)[]) => Readonly<Record<string, () => tf.Tensor>>;
}

/** The parts of tf.js' engine that its own `gradients` is made of. */
interface Recorder {
  startTape(): void;
  endTape(): void;
  readonly state: { activeTape: readonly TapeNode[] | null; readonly gradientDepth: number };
}

/**
 * The value of `f` and its gradient by each of `xs`, undefined where the value does not depend on it. `f` may itself ask for
 * gradients, and may not be inside of another function that is differentiated.
 *
 * @param f returns a scalar; tensors that it makes and does not keep are freed
 */
export function valueAndGradients(
  f: () => tf.Scalar,
  xs: readonly tf.Tensor[],
): { value: tf.Scalar; gradients: (tf.Tensor | undefined)[] } {
  return taped(f, (tape, value) => ({ value, gradients: backward(tape, value, xs) }));
}

/** Bytes that the backward pass of `f` would keep in memory, without those of `known` tensors. */
export function heldBytes(f: () => tf.Tensor, known: Iterable<tf.Tensor>): number {
  const data = new Map<tf.DataId, number>();
  taped(f, (tape) => {
    for (const each of tape.flatMap(({ saved }) => saved)) {
      data.set(each.dataId, each.size * (isBfloat16(each) ? 2 : tf.util.bytesPerElement(each.dtype)));
    }
    return [];
  });
  for (const { dataId } of known) data.delete(dataId);
  return [...data.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** Records `f` on a tape, and passes the tape to `use`. */
function taped<V extends tf.Tensor, T extends tf.TensorContainer>(
  f: () => V,
  use: (tape: readonly TapeNode[], value: V) => T,
): T {
  const recorder = tf.engine() as unknown as Recorder;
  if (recorder.state.gradientDepth > 0) throw new Error("This cannot be differentiated itself.");
  recorder.startTape();
  const tape = recorder.state.activeTape!;
  try {
    return tf.tidy(() => {
      let value: V;
      try {
        value = tf.tidy(f);
      } finally {
        recorder.endTape();
      }
      return use(tape, value);
    });
  } finally {
    for (const { saved } of tape) tf.dispose([...saved]);
    recorder.state.activeTape = null;
  }
}

function backward(tape: readonly TapeNode[], value: tf.Scalar, xs: readonly tf.Tensor[]): (tf.Tensor | undefined)[] {
  const dependent = new Set(xs.map(({ id }) => id)); // on any of xs
  for (const { inputs, outputs } of tape) {
    if (Object.values(inputs).some(({ id }) => dependent.has(id))) for (const { id } of outputs) dependent.add(id);
  }
  const gradients = new Map<number, tf.Tensor>([[value.id, tf.ones(value.shape)]]);
  for (const node of [...tape].reverse()) {
    const inputs = Object.entries(node.inputs).filter(([, { id }]) => dependent.has(id));
    const dys = node.outputs.map(({ id }) => gradients.get(id) ?? null);
    // Deleted before the inputs have theirs: a custom gradient function may return its input.
    for (const { id } of node.outputs) gradients.delete(id);
    if (dys.some((dy) => dy !== null)) {
      const found = tf.tidy(() => gradientsOf(node, dys, inputs));
      inputs.forEach(([, { id }], index) => {
        const [before, more] = [gradients.get(id), found[index]!];
        gradients.set(id, before ? tf.add(before, more) : more);
        if (before) tf.dispose([before, more]);
      });
    }
    tf.dispose([...node.saved]);
    tf.dispose(dys.filter((dy) => dy !== null));
  }
  return xs.map(({ id }) => gradients.get(id));
}

/** The gradients by `inputs`, each a tensor of its own: a function may give one twice, or the very one it was given. */
function gradientsOf(
  { kernelName, gradient }: TapeNode,
  dys: (tf.Tensor | null)[],
  inputs: [string, tf.Tensor][],
): tf.Tensor[] {
  if (inputs.length === 0) return [];
  if (!gradient) throw new Error(`${kernelName} has no gradient.`);
  const found = gradient(dys);
  return inputs.map(([name, { shape }]) => {
    const dx = tf.tidy(() => found[name]?.().clone());
    if (!dx) throw new Error(`${kernelName} has no gradient for its input "${name}".`);
    if (dx.dtype === "float32" && String(dx.shape) === String(shape)) return dx;
    throw new Error(`${kernelName} gives a gradient of ${dx.dtype}[${dx.shape}] for its input "${name}" [${shape}].`);
  });
}
