/** A TensorFlow SavedModel of frozen constants: tag "serve", signature "serving_default". It needs no variables folder. */
import { PbfWriter } from "pbf";
import { type Graph, shapeOf } from "../../core/trace/graph.js";
import { bytesOf, type Description } from "./format.js";
import { type Attribute, dataTypes, lowerToTensorflow, type TensorConstant } from "./tensorflow.js";

/** GraphDef's version: of TensorFlow 2.16, so that older readers take it. */
const producer = 1766;

/** The bytes of saved_model.pb; field numbers are those of TensorFlow's saved_model.proto and the files it imports. */
export function savedModel(graph: Graph, description: Description): Uint8Array {
  const { nodes, output } = lowerToTensorflow(graph, description, { fused: false });
  const writer = new PbfWriter();
  writer.writeVarintField(1, 1);
  message(writer, 2, (metaGraph) => {
    message(metaGraph, 1, (info) => info.writeStringField(4, "serve"));
    message(metaGraph, 2, (definition) => {
      for (const { name, op, inputs, attributes } of nodes) {
        message(definition, 1, (node) => {
          node.writeStringField(1, name);
          node.writeStringField(2, op);
          for (const input of inputs) node.writeStringField(3, input);
          for (const [key, attribute] of Object.entries(attributes)) {
            message(node, 5, (entry) => {
              entry.writeStringField(1, key);
              message(entry, 2, (value) => writeAttribute(value, attribute));
            });
          }
        });
      }
      message(definition, 4, (versions) => versions.writeVarintField(1, producer));
    });
    message(metaGraph, 5, (entry) => {
      entry.writeStringField(1, "serving_default");
      message(entry, 2, (signature) => {
        const { input, classes } = description;
        const image = input === "uint8" ? "image_bytes" : graph.input;
        tensorInfo(signature, 1, "image", image, dataTypes[input], shapeOf(graph, graph.input));
        tensorInfo(signature, 2, description.output, output, dataTypes.float32, [-1, classes.length]);
        signature.writeStringField(3, "tensorflow/serving/predict");
      });
    });
  });
  return writer.finish();
}

const message = (into: PbfWriter, tag: number, write: (pbf: PbfWriter) => void): void =>
  into.writeMessage(tag, (_: null, pbf: PbfWriter) => write(pbf), null);

function tensorInfo(
  into: PbfWriter,
  tag: number,
  key: string,
  name: string,
  type: number,
  shape: readonly number[],
): void {
  message(into, tag, (entry) => {
    entry.writeStringField(1, key);
    message(entry, 2, (info) => {
      info.writeStringField(1, `${name}:0`);
      info.writeVarintField(2, type);
      message(info, 3, (pbf) => writeShape(pbf, shape));
    });
  });
}

function writeShape(into: PbfWriter, shape: readonly number[]): void {
  for (const size of shape) message(into, 2, (dim) => dim.writeVarintField(1, size));
}

function writeTensor(into: PbfWriter, { type, shape, data }: TensorConstant): void {
  into.writeVarintField(1, dataTypes[type]);
  message(into, 2, (pbf) => writeShape(pbf, shape));
  into.writeBytesField(4, bytesOf(data));
}

function writeAttribute(into: PbfWriter, attribute: Attribute): void {
  if ("type" in attribute) into.writeVarintField(6, dataTypes[attribute.type]);
  else if ("text" in attribute) into.writeStringField(2, attribute.text);
  else if ("int" in attribute) into.writeVarintField(3, attribute.int);
  else if ("flag" in attribute) into.writeBooleanField(5, attribute.flag);
  else if ("float" in attribute) into.writeFloatField(4, attribute.float);
  else if ("ints" in attribute) message(into, 1, (list) => list.writePackedVarint(3, [...attribute.ints]));
  else if ("texts" in attribute)
    message(into, 1, (list) => attribute.texts.forEach((text) => list.writeStringField(2, text)));
  else if ("shape" in attribute) message(into, 7, (pbf) => writeShape(pbf, attribute.shape));
  else message(into, 8, (pbf) => writeTensor(pbf, attribute.constant));
}
