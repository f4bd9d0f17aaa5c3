/**
 * bfloat16 under a tf.js that does not know it. tf.js takes such a tensor for float32; only TensorFlow knows its type.
 * The native calls are wrapped: an operation with a kernel for bfloat16 keeps it, all others receive float32. So every
 * layer and every plugin works, and nothing is refused.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Attribute, NativeCalls, NativeConstants, OutputInfo } from "./graph/native-calls.js";

/** TensorFlow's DT_BFLOAT16. */
export const bfloat16 = 14;

/** Whether a tensor, float32 to tf.js, is stored in bfloat16. False on every backend but TensorFlow. */
export function isBfloat16({ dataId }: tf.TensorInfo): boolean {
  const { tensorMap } = tf.backend() as unknown as { tensorMap?: tf.DataStorage<{ dtype: number }> };
  return tensorMap?.get(dataId)?.dtype === bfloat16;
}

/** Which inputs carry the type of an operation, by place and number of inputs. */
type Carries = (input: number, inputs: number) => boolean;
const everyInput: Carries = () => true;
const at =
  (...places: number[]): Carries =>
  (input) =>
    places.includes(input);

/**
 * Operations that compute in bfloat16 as soon as one of these inputs is: element by element with one rounding at the end,
 * or sums in float32 inside. Left out, and so given float32: sums and means of many numbers, exp and log, tf.matMul's
 * BatchMatMulV2 (a classifier is a thousandth of the time), and all that the loss and the optimizer do.
 */
const kernels: Readonly<Record<string, Carries>> = {
  Conv2D: everyInput,
  Conv2DBackpropInput: at(1, 2),
  Conv2DBackpropFilter: at(0, 2),
  FusedBatchNormV3: at(0),
  FusedBatchNormGradV3: at(0, 1),
  Relu: everyInput,
  ReluGrad: everyInput,
  Relu6: everyInput,
  Relu6Grad: everyInput,
  Add: everyInput,
  AddV2: everyInput,
  Sub: everyInput,
  Mul: everyInput,
  MaxPool: everyInput,
  MaxPoolGrad: everyInput,
  MatMul: everyInput, // of filter gradients
  PadV2: at(0, 2),
  ConcatV2: (input, inputs) => input < inputs - 1,
  GatherV2: at(0),
  Reshape: at(0),
  Transpose: at(0),
  Slice: at(0),
};

/**
 * The native calls with types converted. Free while no tensor is bfloat16, about a microsecond an operation
 * otherwise; in a recorded graph only the casts are left.
 */
export function withBfloat16<B extends NativeCalls & NativeConstants>(native: B): B {
  const halves = new Set<number>(); // ids of bfloat16 tensors
  const remembered = (outputs: OutputInfo[]): OutputInfo[] => {
    for (const { id, dtype } of outputs) if (dtype === bfloat16) halves.add(id);
    return outputs;
  };
  const deleteTensor = (id: number): void => {
    halves.delete(id);
    native.deleteTensor(id);
  };
  return {
    // Looked up at each call: recording and timing replace the functions for a while.
    ...forwarding(native),
    executeOp(name, attributes, ids, count) {
      if (!ids.some((id) => halves.has(id))) return remembered(native.executeOp(name, attributes, ids, count));
      if (name === "Cast") return remembered(native.executeOp(name, inBfloat16(attributes, "SrcT"), ids, count));
      const carries = kernels[name];
      const cast: number[] = [];
      const own = ids.map((id, input) => {
        const wanted = carries?.(input, ids.length) ?? false;
        if (wanted === halves.has(id)) return id;
        const [{ id: other }] = native.executeOp("Cast", castAttributes(native, wanted), [id], 1) as [OutputInfo];
        cast.push(other);
        return other;
      });
      try {
        return remembered(
          native.executeOp(
            name,
            carries ? inBfloat16(attributes, name === "GatherV2" ? "Tparams" : "T") : attributes,
            own,
            count,
          ),
        );
      } finally {
        for (const id of cast) native.deleteTensor(id);
      }
    },
    runSavedModel: (...args) => remembered(native.runSavedModel(...args)),
    deleteTensor,
    tensorDataSync(id) {
      if (!halves.has(id)) return native.tensorDataSync(id);
      const [{ id: other }] = native.executeOp("Cast", castAttributes(native, false), [id], 1) as [OutputInfo];
      try {
        return native.tensorDataSync(other);
      } finally {
        native.deleteTensor(other);
      }
    },
  };
}

/** From float32 to bfloat16, or back. */
export function castAttributes({ TF_ATTR_TYPE, TF_ATTR_BOOL, TF_FLOAT }: NativeConstants, down: boolean): Attribute[] {
  return [
    { name: "SrcT", type: TF_ATTR_TYPE, value: down ? TF_FLOAT : bfloat16 },
    { name: "DstT", type: TF_ATTR_TYPE, value: down ? bfloat16 : TF_FLOAT },
    { name: "Truncate", type: TF_ATTR_BOOL, value: false },
  ];
}

const inBfloat16 = (attributes: Attribute[], key: string): Attribute[] =>
  attributes.map((each) => (each.name === key ? { ...each, value: bfloat16 } : each));

function forwarding<B extends object>(native: B): B {
  const entries = Object.entries(native).map(([name, value]): [string, unknown] => [
    name,
    typeof value === "function"
      ? (...args: unknown[]): unknown => (native as Record<string, (...all: unknown[]) => unknown>)[name]!(...args)
      : value,
  ]);
  return Object.fromEntries(entries) as B;
}
