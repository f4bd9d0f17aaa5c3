/** A TensorFlow SavedModel of frozen constants: tag "serve", signature "serving_default". It needs no variables folder. */
import type { PbfWriter } from "pbf";
import { type Graph, shapeOf } from "../../core/trace/graph.js";
import { bytesOf, type Description, metadataOf } from "./format.js";
import { field, fields, inPieces, type Piece, type Pieces } from "./pieces.js";
import {
  type Attribute,
  dataTypes,
  lowerToTensorflow,
  type TensorConstant,
  type TensorflowNode,
} from "./tensorflow.js";

/** GraphDef's version: of TensorFlow 2.16, so that older readers take it. */
const producer = 1766;

/** saved_model.pb; field numbers are those of TensorFlow's saved_model.proto and the files it imports. */
export function savedModel(graph: Graph, description: Description): Pieces {
  const { nodes, output } = lowerToTensorflow(graph, description, { fused: false });
  const { input, classes } = description;
  const image = input === "uint8" ? "image_bytes" : graph.input;
  const signature = [
    ...tensorInfo(1, "image", image, dataTypes[input], shapeOf(graph, graph.input)),
    ...tensorInfo(2, description.output, output, dataTypes.float32, [-1, classes.length]),
    fields((pbf) => pbf.writeStringField(3, "tensorflow/serving/predict")),
  ];
  return inPieces([
    fields((pbf) => pbf.writeVarintField(1, 1)),
    ...field(2, [
      ...field(1, [fields((pbf) => pbf.writeStringField(4, "serve"))]),
      ...field(2, [
        ...nodes.flatMap((node) => field(1, nodeOf(node))),
        ...field(4, [fields((pbf) => pbf.writeVarintField(1, producer))]),
      ]),
      ...field(5, [fields((pbf) => pbf.writeStringField(1, "serving_default")), ...field(2, signature)]),
    ]),
  ]);
}

/** File name -> file, the model first. `assets.extra` is TensorFlow's folder for what its loader leaves alone. */
export const savedModelFolder = (graph: Graph, description: Description): Map<string, Pieces> =>
  new Map([
    ["saved_model.pb", savedModel(graph, description)],
    ["assets.extra/metadata.json", inPieces([Buffer.from(`${JSON.stringify(metadataOf(description), null, 2)}\n`)])],
  ]);

const nodeOf = ({ name, op, inputs, attributes }: TensorflowNode): Piece[] => [
  fields((pbf) => {
    pbf.writeStringField(1, name);
    pbf.writeStringField(2, op);
    for (const input of inputs) pbf.writeStringField(3, input);
  }),
  ...Object.entries(attributes).flatMap(([key, attribute]) =>
    field(5, [fields((pbf) => pbf.writeStringField(1, key)), ...field(2, attributeOf(attribute))]),
  ),
];

function tensorInfo(tag: number, key: string, name: string, type: number, shape: readonly number[]): Piece[] {
  const start = fields((pbf) => {
    pbf.writeStringField(1, `${name}:0`);
    pbf.writeVarintField(2, type);
  });
  const info = [start, ...field(3, [fields((pbf) => writeShape(pbf, shape))])];
  return field(tag, [fields((pbf) => pbf.writeStringField(1, key)), ...field(2, info)]);
}

/** AttrValue. */
function attributeOf(attribute: Attribute): Piece[] {
  if (!("constant" in attribute)) return [fields((pbf) => writeAttribute(pbf, attribute))];
  const { type, shape, data } = attribute.constant;
  const start = fields((pbf) => pbf.writeVarintField(1, dataTypes[type]));
  return field(8, [start, ...field(2, [fields((pbf) => writeShape(pbf, shape))]), ...field(4, [bytesOf(data)])]);
}

const message = (into: PbfWriter, tag: number, write: (pbf: PbfWriter) => void): void =>
  into.writeMessage(tag, (_: null, pbf: PbfWriter) => write(pbf), null);

function writeShape(into: PbfWriter, shape: readonly number[]): void {
  for (const size of shape) message(into, 2, (dim) => dim.writeVarintField(1, size));
}

function writeAttribute(into: PbfWriter, attribute: Exclude<Attribute, { constant: TensorConstant }>): void {
  if ("type" in attribute) into.writeVarintField(6, dataTypes[attribute.type]);
  else if ("text" in attribute) into.writeStringField(2, attribute.text);
  else if ("int" in attribute) into.writeVarintField(3, attribute.int);
  else if ("flag" in attribute) into.writeBooleanField(5, attribute.flag);
  else if ("float" in attribute) into.writeFloatField(4, attribute.float);
  else if ("ints" in attribute) message(into, 1, (list) => list.writePackedVarint(3, [...attribute.ints]));
  else if ("texts" in attribute)
    message(into, 1, (list) => attribute.texts.forEach((text) => list.writeStringField(2, text)));
  else message(into, 7, (pbf) => writeShape(pbf, attribute.shape));
}
