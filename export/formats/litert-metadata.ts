/** What a .tflite says of its image and its classes: metadata_schema.fbs 1.1, and two files in a zip behind the model. */
import { crc32 } from "../../core/crc32.js";
import { createFlatBuffer } from "./flatbuffer.js";
import { type Description, inputMetadata } from "./format.js";
import { inPieces, joined, lengthOf, type Piece } from "./pieces.js";

const labelsFile = "labels.txt";
const inputFile = "input.json";

/** File name -> text. */
export const attachedFiles = (description: Description): Record<string, string> => ({
  [labelsFile]: description.classes.map((name) => `${name.replaceAll(/[\r\n]+/g, " ")}\n`).join(""),
  [inputFile]: `${JSON.stringify(inputMetadata(description))}\n`,
});

/** Slots and numbers are the schema's: an RGB image of 0 to 255 in, one number a class out. */
export function litertMetadata({ size, output, text }: Description): Uint8Array {
  const file = createFlatBuffer();
  const imageProperties = file.table({ 0: { byte: 1 }, 1: { at: file.table({ 0: { int: size }, 1: { int: size } }) } });
  // What a reader has to do: nothing. The run's mean and deviation are in the model, and in the file.
  const normalising = file.table({ 0: { at: file.floats([0]) }, 1: { at: file.floats([1]) } });
  const resizing = file.table({ 0: { at: file.text(inputFile) }, 1: { at: file.text("how images are resized") } });
  const image = file.table({
    0: { at: file.text("image") },
    1: { at: file.text("RGB, 0 to 255") },
    3: { at: file.table({ 0: { byte: 2 }, 1: { at: imageProperties } }) },
    4: { at: file.list([file.table({ 0: { byte: 1 }, 1: { at: normalising } })]) },
    5: { at: file.table({ 0: { at: file.floats([255]) }, 1: { at: file.floats([0]) } }) },
    6: { at: file.list([resizing]) },
  });
  const labels = file.table({
    0: { at: file.text(labelsFile) },
    1: { at: file.text("one class a line") },
    2: { byte: 2 }, // labels of the tensor's axis
  });
  const classes = file.table({
    0: { at: file.text(output) },
    3: { at: file.table({ 0: { byte: 1 }, 1: { at: file.table({}) } }) },
    6: { at: file.list([labels]) },
  });
  const graph = file.table({ 2: { at: file.list([image]) }, 3: { at: file.list([classes]) } });
  const root = file.table({
    0: { at: file.text("image classifier") },
    1: { at: file.text(text) },
    3: { at: file.list([graph]) },
    7: { at: file.text("1.0.0") },
  });
  return joined(inPieces(file.finish(root, "M001")));
}

/** A zip of stored files behind the model: readers of zips look from the end, readers of models from the start. */
export function withAttachedFiles(model: readonly Piece[], files: Readonly<Record<string, string>>): Piece[] {
  const start = lengthOf(model);
  let length = 0;
  const central: Uint8Array[] = [];
  const local = Object.entries(files).map(([name, text]) => {
    const { common, data, fileName } = zipped(name, text);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(start + length, 10);
    central.push(signature(0x02014b50), Buffer.from([20, 0]), common, place, fileName);
    const entry = Buffer.concat([signature(0x04034b50), common, fileName, data]);
    length += entry.length;
    return entry;
  });
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(local.length, 8);
  end.writeUInt16LE(local.length, 10);
  end.writeUInt32LE(lengthOf(central), 12);
  end.writeUInt32LE(start + length, 16);
  return [...model, ...local, ...central, end];
}

function zipped(name: string, text: string) {
  const data = Buffer.from(text);
  const fileName = Buffer.from(name);
  const common = Buffer.alloc(26); // versions, flags, method "stored", and the first day of 1980
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(0x21, 8);
  common.writeUInt32LE(crc32(data), 10);
  common.writeUInt32LE(data.length, 14);
  common.writeUInt32LE(data.length, 18);
  common.writeUInt16LE(fileName.length, 22);
  return { common, data, fileName };
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
