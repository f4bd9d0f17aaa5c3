/** Writes down the tensors and operators of a LiteRT model, each value in the type in which its operation computes. */
import { type Graph, shapeOf } from "../../core/trace/graph.js";
import type { Quantized } from "../quantize.js";
import { bytesOf, type Precision } from "./format.js";
import { type Operator, type OperatorName, sizes, type Tensor, type Type } from "./litert-file.js";
import type { Piece } from "./pieces.js";

export function createWriter(graph: Graph, precision: Precision) {
  const tensors: Tensor[] = [];
  const buffers: Piece[] = [new Uint8Array()]; // the first must be empty
  const operators: Operator[] = [];
  const places = new Map<string, number>(); // value -> tensor
  const converted = new Map<string, number>(); // value -> tensor of the other type
  const { values: all, kept } = precision.kind === "int8" ? precision : {};
  /** Of the operation that is written; undefined where it computes in float32. */
  let values = all;

  /** A tensor of its own; `data` for one that the file stores. */
  function tensor(
    name: string,
    shape: readonly number[],
    type: Type,
    { data, quantization }: { data?: Data; quantization?: Tensor["quantization"] } = {},
  ): number {
    const length = (): number => shape.reduce((product, each) => product * each, sizes[type]);
    const stored =
      typeof data === "function" ? { length: length(), bytes: () => bytesOf(data()) } : data && bytesOf(data);
    const buffer = stored === undefined ? 0 : buffers.push(stored) - 1;
    const fixed = shape.map((each) => (each === -1 ? 1 : each));
    return tensors.push({ name, shape: fixed, type, buffer, quantization }) - 1;
  }

  /** A computed value. */
  function value(name: string, shape = shapeOf(graph, name), parameters = values?.get(name)): number {
    const place = tensor(name, shape, values ? "int8" : "float32", { quantization: parameters && whole(parameters) });
    places.set(name, place);
    return place;
  }

  /** The tensor of a value, in the type of the operation that is written. */
  function at(name: string): number {
    const place = places.get(name)!;
    const wanted = values ? "int8" : "float32";
    if (tensors[place]!.type === wanted) return place;
    const known = converted.get(name);
    if (known !== undefined) return known;
    const parameters = values?.get(name);
    const quantization = parameters && whole(parameters);
    const made = tensor(`${name}/${wanted}`, shapeOf(graph, name), wanted, { quantization });
    converted.set(name, made);
    if (values) push("QUANTIZE", { float: 1 }, [place], [made]);
    else push("DEQUANTIZE", { float: 2 }, [place], [made]);
    return made;
  }

  /** @param version as the runtime's op_version.cc wants it; the one of float32 where there is no other */
  function push(
    name: OperatorName,
    version: { float: number; int8?: number },
    inputs: readonly number[],
    outputs: readonly number[],
    options: Operator["options"] = {},
    shape?: readonly number[],
  ): void {
    const chosen = values ? (version.int8 ?? version.float) : version.float;
    operators.push({ name, version: chosen, inputs, outputs, options, shape });
  }

  return {
    graph,
    precision,
    tensors,
    buffers,
    operators,
    places,
    tensor,
    value,
    at,
    push,

    /** The int8 parameters of the values of the operation that is written; undefined where it computes in float32. */
    get values() {
      return values;
    },

    /** Writes from here on in the type in which the operation that makes a value computes. */
    enter(out: string): void {
      values = kept?.has(out) ? undefined : all;
    },

    /** Writes from here on in float32. */
    leave(): void {
      values = undefined;
    },

    /** An operator that makes a value of the graph. */
    make(
      out: string,
      name: OperatorName,
      version: { float: number; int8?: number },
      inputs: readonly number[],
      options?: Operator["options"],
      shape?: readonly number[],
    ): void {
      push(name, version, inputs, [value(out)], options, shape);
    },
  };
}

export type Writer = ReturnType<typeof createWriter>;

/** Stored as it is, or made when it is written. */
type Data = ArrayBufferView | (() => ArrayBufferView);

/** One scale for a whole tensor. */
export const whole = ({ scale, zero }: Quantized): Tensor["quantization"] => ({
  scales: [scale],
  zeros: [zero],
  axis: 0,
});
