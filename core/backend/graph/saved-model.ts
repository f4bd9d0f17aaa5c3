/**
 * A TensorFlow graph as the bytes of a `saved_model.pb`: what TensorFlow loads a graph from. Pure.
 *
 * Field numbers are of TensorFlow's saved_model.proto, meta_graph.proto, graph.proto, node_def.proto, attr_value.proto,
 * tensor.proto and tensor_shape.proto.
 */
import { PbfWriter } from "pbf";

/** An attribute: what an operation receives besides its inputs. Types are TensorFlow's numbers (DT_FLOAT is 1). */
export type AttributeValue =
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "int" | "float"; readonly value: number }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "type"; readonly value: number }
  | { readonly kind: "shape"; readonly value: readonly number[] }
  | { readonly kind: "ints" | "floats"; readonly value: readonly number[] }
  | { readonly kind: "bools"; readonly value: readonly boolean[] }
  | { readonly kind: "tensor"; readonly dtype: number; readonly shape: readonly number[]; readonly bytes: Uint8Array };

export interface GraphNode {
  readonly name: string;
  readonly operation: string;
  /** `node:output`, in the operation's order. */
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** The GraphDef version that a TensorFlow of this decade writes: unknown attributes are refused from 12 on. */
const producer = 1987;

/** A SavedModel of one graph under the tag "train", without variables and signatures. */
export function savedModel(nodes: readonly GraphNode[]): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeVarintField(1, 1); // saved_model_schema_version
  pbf.writeMessage(2, writeMetaGraph, nodes);
  return pbf.finish();
}

function writeMetaGraph(nodes: readonly GraphNode[], pbf: PbfWriter): void {
  pbf.writeMessage(1, (tag: string, meta: PbfWriter) => meta.writeStringField(4, tag), "train");
  pbf.writeMessage(2, writeGraph, nodes);
}

function writeGraph(nodes: readonly GraphNode[], pbf: PbfWriter): void {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeMessage(4, (version: number, versions: PbfWriter) => versions.writeVarintField(1, version), producer);
}

function writeNode({ name, operation, inputs, attributes }: GraphNode, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  pbf.writeStringField(2, operation);
  for (const input of inputs) pbf.writeStringField(3, input);
  for (const entry of Object.entries(attributes)) {
    pbf.writeMessage(
      5,
      ([key, value]: [string, AttributeValue], map: PbfWriter) => {
        map.writeStringField(1, key);
        map.writeMessage(2, writeAttribute, value);
      },
      entry,
    );
  }
}

function writeAttribute(attribute: AttributeValue, pbf: PbfWriter): void {
  switch (attribute.kind) {
    case "string":
      return pbf.writeStringField(2, attribute.value);
    case "int":
      return pbf.writeVarintField(3, attribute.value);
    case "float":
      return pbf.writeFloatField(4, attribute.value);
    case "bool":
      return pbf.writeBooleanField(5, attribute.value);
    case "type":
      return pbf.writeVarintField(6, attribute.value);
    case "shape":
      return pbf.writeMessage(7, writeShape, attribute.value);
    case "ints":
      return pbf.writeMessage(1, (values, list) => list.writePackedVarint(3, [...values]), attribute.value);
    case "floats":
      return pbf.writeMessage(1, (values, list) => list.writePackedFloat(4, [...values]), attribute.value);
    case "bools":
      return pbf.writeMessage(1, (values, list) => list.writePackedBoolean(5, [...values]), attribute.value);
    case "tensor":
      return pbf.writeMessage(
        8,
        ({ dtype, shape, bytes }, tensor) => {
          tensor.writeVarintField(1, dtype);
          tensor.writeMessage(2, writeShape, shape);
          tensor.writeBytesField(4, bytes);
        },
        attribute,
      );
  }
}

function writeShape(shape: readonly number[], pbf: PbfWriter): void {
  for (const size of shape)
    pbf.writeMessage(2, (value: number, dim: PbfWriter) => dim.writeVarintField(1, value), size);
}
