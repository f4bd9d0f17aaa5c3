/**
 * The ways to compute a convolution's filter gradient, timed for the shapes of networks:
 *
 *   npm run bench -- filters [--repeats 7] [--network resnet18-64|resnet18-16|resnet50]
 *
 * oneDNN's kernel, TensorFlow's generic one (through "explicit" padding), and a product of patches with dy, in both
 * precisions, and which of them `ops.conv2d` takes; at stride 1 beside the forward pass and the input's gradient. The least of
 * the repeats counts.
 */
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { bfloat16, castAttributes } from "../core/backend/bfloat16.js";
import { type Attribute, currentNativeCalls } from "../core/backend/graph/native-calls.js";
import { loadBackend } from "../core/index.js";
import { isProduct } from "../core/nn/filter-gradient.js";
import { oneOf, whole } from "./common/options.js";

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "7" }, network: { type: "string", default: "resnet18-64" } },
});

/** [batch, side, channels in, channels out, kernel, stride] */
type Shape = readonly [number, number, number, number, number, number];
const resnet18 = (width: number): Shape[] => [
  [128, 32, 3, width, 3, 1],
  [128, 32, width, width, 3, 1],
  ...[0, 1, 2].flatMap((stage): Shape[] => {
    const [side, channels] = [32 >> stage, width << stage];
    return [
      [128, side, channels, 2 * channels, 3, 2],
      [128, side, channels, 2 * channels, 1, 2],
      [128, side / 2, 2 * channels, 2 * channels, 3, 1],
    ];
  }),
];
const networks: Record<string, Shape[]> = {
  "resnet18-64": resnet18(64),
  "resnet18-16": resnet18(16),
  resnet50: [
    [16, 224, 3, 64, 7, 2],
    [16, 56, 64, 64, 1, 1],
    [16, 56, 64, 64, 3, 1],
    [16, 56, 64, 256, 1, 1],
    [16, 56, 128, 128, 3, 2],
    [16, 56, 256, 512, 1, 2],
    [16, 28, 128, 128, 3, 1],
    [16, 28, 256, 256, 3, 2],
    [16, 14, 256, 256, 3, 1],
    [16, 14, 512, 512, 3, 2],
    [16, 7, 512, 512, 3, 1],
    [16, 7, 512, 2048, 1, 1],
  ],
};

await loadBackend({ name: "tensorflow" });
const native = currentNativeCalls()!;
const {
  TF_ATTR_BOOL: BOOL,
  TF_ATTR_INT: INT,
  TF_ATTR_STRING: STRING,
  TF_ATTR_TYPE: TYPE,
  TF_FLOAT: float,
  TF_INT32: int32,
} = native;
const attribute = (name: string, type: number, value: unknown): Attribute => ({ name, type, value });
const run = (operation: string, attributes: Attribute[], ...inputs: number[]): number =>
  native.executeOp(operation, attributes, inputs, 1)[0]!.id;
const idOf = (tensor: tf.Tensor): number =>
  (tf.backend() as unknown as { getInputTensorIds(of: tf.Tensor[]): number[] }).getInputTensorIds([tensor])[0]!;
const numbers = (list: number[] | number[][]): number => idOf(tf.tensor(list, undefined, "int32"));

/** Milliseconds of the fastest repeat. */
function fastest(compute: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < whole("repeats", values.repeats); repeat++) {
    const from = performance.now();
    native.deleteTensor(compute());
    best = Math.min(best, performance.now() - from);
  }
  return best;
}

function timed([batch, side, channels, out, kernel, stride]: Shape, precision: "float32" | "bfloat16") {
  const pad = (kernel - 1) / 2;
  const small = Math.ceil(side / stride);
  const type = precision === "float32" ? float : bfloat16;
  const of = (tensor: tf.Tensor): number =>
    type === float ? idOf(tensor) : run("Cast", castAttributes(native, true), idOf(tensor));
  const [x, dy] = [of(tf.randomNormal([batch, side, side, channels])), of(tf.randomNormal([batch, small, small, out]))];
  const wShape = numbers([kernel, kernel, channels, out]);
  const T = attribute("T", TYPE, type);
  const convolution = (padding: string, ...more: Attribute[]): Attribute[] => [
    T,
    attribute("strides", INT, [1, stride, stride, 1]),
    attribute("padding", STRING, padding),
    attribute("data_format", STRING, "NHWC"),
    attribute("dilations", INT, [1, 1, 1, 1]),
    ...more,
  ];
  const pads = numbers([
    [0, 0],
    [pad, pad],
    [pad, pad],
    [0, 0],
  ]);
  const padded = (): number => run("Pad", [T, attribute("Tpaddings", TYPE, int32)], x, pads);
  const oneDnn = fastest(() => {
    if (stride === 1) return run("Conv2DBackpropFilter", convolution("SAME"), x, wShape, dy);
    const wide = pad > 0 ? padded() : x;
    const found = run("Conv2DBackpropFilter", convolution("VALID"), wide, wShape, dy);
    if (wide !== x) native.deleteTensor(wide);
    return found;
  });
  // What it is to be compared with, where one padding serves all.
  const w = of(tf.randomNormal([kernel, kernel, channels, out]));
  const xShape = numbers([batch, side, side, channels]);
  const beside = (compute: () => number): number => (stride === 1 ? fastest(compute) : Number.NaN);
  const forward = beside(() => run("Conv2D", convolution("SAME"), x, w));
  const input = beside(() => run("Conv2DBackpropInput", convolution("SAME"), xShape, w, dy));
  // Half a minute for a network, and never near the others in bfloat16.
  const explicit = attribute("explicit_paddings", INT, [0, 0, pad, pad, pad, pad, 0, 0]);
  const generic =
    type === float
      ? fastest(() => run("Conv2DBackpropFilter", convolution("EXPLICIT", explicit), x, wShape, dy))
      : Number.NaN;

  const wideSide = side + 2 * pad;
  const places = Array.from({ length: batch * small * small }, (_, position) => {
    const [image, row, column] = [
      Math.floor(position / small ** 2),
      Math.floor(position / small) % small,
      position % small,
    ];
    return Array.from({ length: kernel ** 2 }, (_none, at) => {
      const [y, z] = [row * stride + Math.floor(at / kernel), column * stride + (at % kernel)];
      return (image * wideSide + y) * wideSide + z;
    });
  });
  const index = numbers(places);
  const reshape = (id: number, ...shape: number[]): number =>
    run("Reshape", [T, attribute("Tshape", TYPE, int32)], id, numbers(shape));
  const rows = reshape(dy, places.length, out);
  const axis = idOf(tf.scalar(0, "int32"));
  const gather = [
    attribute("Tparams", TYPE, type),
    attribute("Tindices", TYPE, int32),
    attribute("Taxis", TYPE, int32),
    attribute("batch_dims", INT, 0),
  ];
  const product = fastest(() => {
    const wide = padded();
    const pixels = reshape(wide, batch * wideSide ** 2, channels);
    const patches = run("GatherV2", gather, pixels, index, axis);
    const flat = reshape(patches, places.length, kernel ** 2 * channels);
    const found = run(
      "MatMul",
      [T, attribute("transpose_a", BOOL, true), attribute("transpose_b", BOOL, false)],
      flat,
      rows,
    );
    for (const id of [wide, pixels, patches, flat]) native.deleteTensor(id);
    return found;
  });

  const taken = isProduct({ kernel, stride, channels, positions: small ** 2, precision }) ? "product" : "oneDnn";
  return { forward, input, oneDnn, generic, product, taken };
}

const table: Record<string, Record<string, string>> = {};
const network = oneOf("network", values.network, Object.keys(networks));
for (const shape of networks[network]!) {
  const [, side, channels, out, kernel, stride] = shape;
  for (const precision of ["float32", "bfloat16"] as const) {
    const ways = tf.tidy(() => {
      const found = timed(shape, precision);
      const shown = (value: number | string): string =>
        typeof value === "string" ? value : Number.isNaN(value) ? "" : value.toFixed(1);
      return Object.entries(found).map(([name, value]) => [name, shown(value)] as const);
    });
    table[`${side} px, ${channels} to ${out}, ${kernel} x ${kernel} / ${stride}, ${precision}`] =
      Object.fromEntries(ways);
  }
}
console.log(`${network}: milliseconds, the fastest of ${values.repeats}`);
console.table(table);
