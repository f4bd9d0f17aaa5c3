/**
 * VisualDL's `vdlrecords` files (2.5): a record is its length, eight bytes little-endian, and a protobuf message
 * `Record { values: [Value] }` of one value. There is no checksum, and a record that breaks off makes its reader
 * refuse the file.
 */
import { PbfWriter } from "pbf";
import type { Entry, Hyperparameter } from "./entries.js";

/** The name that VisualDL looks for: ten digits of seconds. */
export const visualDlName = (seconds: number): string =>
  `vdlrecords.${String(Math.floor(seconds)).padStart(10, "0")}.log`;

/** The first record of a file. The display name stays empty: the board then shows the folder's. */
export function visualDlHead(milliseconds: number): Uint8Array {
  return framed(valueOf("meta_data_tag", 0, milliseconds, (pbf) => pbf.writeMessage(10, () => {}, undefined)));
}

/** One entry as its record, where it has one here. `%` has a meaning of its own in the reader's tags, and is spelt out. */
export function visualDlRecord(entry: Entry, milliseconds: number): Uint8Array {
  if (entry.kind === "session") return new Uint8Array(); // known at the end: it takes figures too
  const tag = entry.kind === "hyperparameters" ? "hparam" : entry.tag.replaceAll("%", " percent");
  const step = entry.kind === "hyperparameters" ? 1 : entry.step;
  return framed(valueOf(tag, step, milliseconds, (pbf) => content(pbf, entry)));
}

function valueOf(tag: string, step: number, milliseconds: number, write: (pbf: PbfWriter) => void): Uint8Array {
  const record = new PbfWriter();
  record.writeMessage(
    1,
    (_, pbf) => {
      pbf.writeVarintField(1, step);
      pbf.writeStringField(2, tag);
      pbf.writeVarintField(3, Math.round(milliseconds));
      write(pbf);
    },
    undefined,
  );
  return record.finish();
}

function content(pbf: PbfWriter, entry: Exclude<Entry, { kind: "session" }>): void {
  switch (entry.kind) {
    case "scalar":
      return pbf.writeFloatField(4, entry.value); // a zero too: the reader fails where it is left out
    case "image":
      return pbf.writeMessage(5, (png, image) => image.writeBytesField(4, png), entry.png);
    case "embeddings":
      return pbf.writeMessage(7, writeEmbeddings, entry);
    case "histogram":
      return pbf.writeMessage(8, writeHistogram, entry.histogram);
    case "pr-curve":
      return pbf.writeMessage(9, writeCurve, entry.curve);
    case "text":
      return pbf.writeMessage(12, (text, message) => message.writeStringField(1, text), entry.text);
    case "hyperparameters":
      return pbf.writeMessage(13, writeHyperparameters, entry);
  }
}

type Of<K extends Entry["kind"]> = Extract<Entry, { kind: K }>;

function writeEmbeddings({ labels, vectors }: Of<"embeddings">, pbf: PbfWriter): void {
  vectors.forEach((vector, at) =>
    pbf.writeMessage(
      1,
      (_, one) => {
        one.writeStringField(1, labels[at]!);
        one.writePackedFloat(2, [...vector]);
      },
      undefined,
    ),
  );
  pbf.writeStringField(2, "class");
}

function writeHistogram({ counts, edges }: Of<"histogram">["histogram"], pbf: PbfWriter): void {
  pbf.writePackedDouble(1, [...counts]);
  pbf.writePackedDouble(2, [...edges]);
}

function writeCurve(curve: Of<"pr-curve">["curve"], pbf: PbfWriter): void {
  const { truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall } = curve;
  [truePositives, falsePositives, trueNegatives, falseNegatives].forEach((counts, at) =>
    pbf.writePackedVarint(at + 1, [...counts]),
  );
  pbf.writePackedDouble(5, [...precision]);
  pbf.writePackedDouble(6, [...recall]);
}

function writeHyperparameters({ values, metrics, run }: Of<"hyperparameters">, pbf: PbfWriter): void {
  for (const [name, value] of Object.entries(values)) {
    pbf.writeMessage(
      1,
      (_, info) => {
        writeHyperparameter(info, value);
        info.writeStringField(4, name);
      },
      undefined,
    );
  }
  for (const metric of metrics) {
    pbf.writeMessage(
      2,
      (_, info) => {
        info.writeDoubleField(2, 0);
        info.writeStringField(4, metric);
      },
      undefined,
    );
  }
  pbf.writeStringField(3, run);
}

function writeHyperparameter(pbf: PbfWriter, value: Hyperparameter): void {
  if (typeof value === "string") pbf.writeStringField(3, value);
  else if (typeof value === "boolean" || Number.isSafeInteger(value)) pbf.writeVarintField(1, Number(value));
  else pbf.writeDoubleField(2, value);
}

function framed(message: Uint8Array): Uint8Array {
  const record = Buffer.alloc(8 + message.length);
  record.writeBigUInt64LE(BigInt(message.length));
  record.set(message, 8);
  return record;
}

/** Length of the whole records at the beginning of a file. */
export function wholeVisualDl(bytes: Buffer): number {
  let at = 0;
  while (at + 8 <= bytes.length) {
    const end = at + 8 + Number(bytes.readBigUInt64LE(at));
    if (end > bytes.length || end === at + 8) break; // a message is never empty: zeros are what a power cut left
    at = end;
  }
  return at;
}
