/**
 * TensorBoard's event files: TFRecords (length, its masked CRC-32C, data, its masked CRC-32C) of protobuf messages
 * `Event`. After a checksum that is wrong its reader stops without a word.
 */
import { PbfWriter } from "pbf";
import { maskedCrc32c } from "./crc32c.js";
import type { Entry, Hyperparameter } from "./entries.js";

/** Several files of a folder are read as one, in the order of their names. */
export const tensorBoardName = (seconds: number, host: string, pid: number): string =>
  `events.out.tfevents.${String(Math.floor(seconds)).padStart(10, "0")}.${host}.${pid}.0`;

/** The first record of a file. */
export function tensorBoardHead(seconds: number): Uint8Array {
  return framed(event(seconds, 0, (pbf) => pbf.writeStringField(3, "brain.Event:2")));
}

/** One entry as its records. Embeddings are not events here: the projector reads files of its own. */
export function tensorBoardRecords(entry: Entry, seconds: number): Uint8Array {
  const records = summaries(entry, seconds).map((write) => framed(event(seconds, entry.step, write)));
  return Buffer.concat(records);
}

type Write = (pbf: PbfWriter) => void;

function event(seconds: number, step: number, write: Write): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeDoubleField(1, seconds);
  pbf.writeVarintField(2, step);
  write(pbf);
  return pbf.finish();
}

/** `Event.summary` of one value. */
const summary =
  (tag: string, write: Write): Write =>
  (pbf) =>
    pbf.writeMessage(
      5,
      (_, message) =>
        message.writeMessage(
          1,
          (_none, value) => {
            value.writeStringField(1, tag);
            write(value);
          },
          undefined,
        ),
      undefined,
    );

const message = (pbf: PbfWriter, field: number, write: Write): void =>
  pbf.writeMessage(field, (_, inner) => write(inner), undefined);

/** `SummaryMetadata`: whose the value is, what it is called, of what kind its data are. */
function metadata(
  value: PbfWriter,
  { plugin, content, name, dataClass }: { plugin: string; content?: Uint8Array; name?: string; dataClass?: number },
): void {
  message(value, 9, (pbf) => {
    message(pbf, 1, (data) => {
      data.writeStringField(1, plugin);
      if (content) data.writeBytesField(2, content);
    });
    if (name !== undefined) pbf.writeStringField(2, name);
    if (dataClass !== undefined) pbf.writeVarintField(4, dataClass);
  });
}

const tensorClass = 2;

function summaries(entry: Entry, seconds: number): Write[] {
  switch (entry.kind) {
    case "scalar":
      return [
        summary(entry.tag, (value) => {
          value.writeFloatField(2, entry.value);
          metadata(value, { plugin: "scalars", name: entry.name });
        }),
      ];
    case "image":
      return [
        summary(entry.tag, (value) =>
          message(value, 4, (image) => {
            image.writeVarintField(1, entry.height);
            image.writeVarintField(2, entry.width);
            image.writeVarintField(3, 3);
            image.writeBytesField(4, entry.png);
          }),
        ),
      ];
    case "histogram":
      return [summary(entry.tag, (value) => message(value, 5, (pbf) => writeHistogram(pbf, entry.histogram)))];
    case "text":
      return [
        summary(entry.tag, (value) => {
          message(value, 8, (tensor) => {
            tensor.writeVarintField(1, 7); // DT_STRING
            message(tensor, 2, (shape) => message(shape, 2, (side) => side.writeVarintField(1, 1)));
            tensor.writeStringField(8, entry.text);
          });
          metadata(value, { plugin: "text", dataClass: tensorClass });
        }),
      ];
    case "pr-curve":
      return [summary(entry.tag, (value) => writeCurve(value, entry.curve))];
    case "session":
      return [sessionStart(entry, seconds)];
    case "hyperparameters":
      return entry.ended ? [sessionEnd(entry.ended, seconds)] : [];
    case "embeddings":
      return [];
  }
}

type Of<K extends Entry["kind"]> = Extract<Entry, { kind: K }>;

function writeHistogram(pbf: PbfWriter, { counts, edges, sum, sumOfSquares }: Of<"histogram">["histogram"]): void {
  pbf.writeDoubleField(1, edges[0]!);
  pbf.writeDoubleField(2, edges.at(-1)!);
  pbf.writeDoubleField(
    3,
    counts.reduce((total, count) => total + count, 0),
  );
  pbf.writeDoubleField(4, sum);
  pbf.writeDoubleField(5, sumOfSquares);
  pbf.writePackedDouble(6, edges.slice(1)); // of each bin the right edge
  pbf.writePackedDouble(7, [...counts]);
}

/** Six rows: true and false positives, true and false negatives, precision, recall. */
function writeCurve(value: PbfWriter, curve: Of<"pr-curve">["curve"]): void {
  const { truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall } = curve;
  const rows = [truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall];
  message(value, 8, (tensor) => {
    tensor.writeVarintField(1, 1); // DT_FLOAT
    message(tensor, 2, (shape) => {
      for (const side of [rows.length, precision.length]) message(shape, 2, (pbf) => pbf.writeVarintField(1, side));
    });
    tensor.writePackedFloat(5, rows.flat());
  });
  const content = new PbfWriter();
  content.writeVarintField(2, precision.length);
  metadata(value, { plugin: "pr_curves", content: content.finish(), dataClass: tensorClass });
}

/** A value of the HParams plugin, which reads the metadata alone. */
function ofHparams(tag: string, write: Write): Write {
  const content = new PbfWriter();
  write(content);
  return summary(`_hparams_/${tag}`, (pbf) => {
    message(pbf, 8, (tensor) => tensor.writeVarintField(1, 1)); // the reader wants a tensor, and it may be empty
    metadata(pbf, { plugin: "hparams", content: content.finish(), dataClass: tensorClass });
  });
}

/**
 * Without a list of names beside it (`_hparams_/experiment`): of several runs TensorBoard takes one list for all, and would
 * hide what only the others have. Without any it makes one of all that their sessions name.
 */
function sessionStart({ values }: Of<"session">, seconds: number): Write {
  return ofHparams("session_start_info", (content) =>
    message(content, 3, (start) => {
      for (const [name, given] of Object.entries(values)) {
        message(start, 1, (entry) => {
          entry.writeStringField(1, name);
          message(entry, 2, (pbf) => writeStructValue(pbf, given));
        });
      }
      start.writeDoubleField(5, seconds);
    }),
  );
}

const statuses = { success: 1, failure: 2 } as const;

function sessionEnd(ended: keyof typeof statuses, seconds: number): Write {
  return ofHparams("session_end_info", (content) =>
    message(content, 4, (end) => {
      end.writeVarintField(1, statuses[ended]);
      end.writeDoubleField(2, seconds);
    }),
  );
}

/** google.protobuf.Value */
function writeStructValue(pbf: PbfWriter, value: Hyperparameter): void {
  if (typeof value === "number") pbf.writeDoubleField(2, value);
  else if (typeof value === "string") pbf.writeStringField(3, value);
  else pbf.writeBooleanField(4, value);
}

function framed(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length));
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

/** Length of the whole records at the beginning of a file. */
export function wholeTensorBoard(bytes: Buffer): number {
  let at = 0;
  while (at + 16 <= bytes.length) {
    const length = Number(bytes.readBigUInt64LE(at));
    const end = at + 16 + length;
    if (bytes.readUInt32LE(at + 8) !== maskedCrc32c(bytes.subarray(at, at + 8)) || end > bytes.length) break;
    if (bytes.readUInt32LE(end - 4) !== maskedCrc32c(bytes.subarray(at + 12, end - 4))) break;
    at = end;
  }
  return at;
}

/** The projector's files: a matrix, a label a line, and the config that names both. */
export function projectorFiles({ tag, labels, vectors }: Of<"embeddings">): Record<string, string> {
  const name = tag.replaceAll("/", "-");
  const config = `embeddings {\n  tensor_name: "${tag}"\n  tensor_path: "${name}.tsv"\n  metadata_path: "${name}-labels.tsv"\n}\n`;
  return {
    [`${name}.tsv`]: vectors.map((vector) => `${[...vector].join("\t")}\n`).join(""),
    [`${name}-labels.tsv`]: labels.map((label) => `${label.replaceAll(/\s+/g, " ")}\n`).join(""),
    "projector_config.pbtxt": config,
  };
}
