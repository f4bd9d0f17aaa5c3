import { PbfReader } from "pbf";
import { describe, expect, it } from "vitest";
import { crc32c, maskedCrc32c } from "../../../plugins/visual-log/crc32c.js";
import { type Entry, histogramOf, prCurveOf } from "../../../plugins/visual-log/entries.js";
import {
  projectorFiles,
  tensorBoardHead,
  tensorBoardName,
  tensorBoardRecords,
  wholeTensorBoard,
} from "../../../plugins/visual-log/tensorboard.js";
import { visualDlHead, visualDlName, visualDlRecord, wholeVisualDl } from "../../../plugins/visual-log/visualdl.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const scalar = (value: number, step = 3): Entry => ({ kind: "scalar", tag: "a/b", step, value });

describe("CRC-32C", () => {
  it("has the standard's check value, and masks as TFRecord does", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa); // RFC 3720, B.4
    expect(maskedCrc32c(new Uint8Array(0))).toBe(0xa282ead8);
  });
});

describe("VisualDL", () => {
  it("names files as its reader looks for them", () => {
    expect(visualDlName(1700000000.9)).toBe("vdlrecords.1700000000.log");
    expect(visualDlName(5)).toBe("vdlrecords.0000000005.log");
  });

  it("writes the bytes that the official package writes", () => {
    // Record(values=[Value(id=3, tag="a/b", timestamp=1000, value=0.5)]), length first
    expect(hex(visualDlRecord(scalar(0.5), 1000))).toBe(
      "1100000000000000" + "0a0f" + "0803" + "1203612f62" + "18e807" + "250000003f",
    );
    // …and of zero, which proto3 would leave out, and the reader must find
    expect(hex(visualDlRecord(scalar(0), 1000)).endsWith("2500000000")).toBe(true);
    expect(hex(visualDlHead(1000))).toContain(hex(Buffer.from("meta_data_tag")));
    expect(hex(visualDlHead(1000)).endsWith("5200")).toBe(true);
  });

  it("spells out what its reader takes for a slash", () => {
    expect(Buffer.from(visualDlRecord({ ...scalar(1), tag: "50%" }, 0)).toString("latin1")).toContain("50 percent");
  });

  it("finds the whole records of a file that breaks off anywhere", () => {
    const records = [visualDlHead(1), visualDlRecord(scalar(1), 2), visualDlRecord(scalar(2), 3)];
    expectWhole(records, wholeVisualDl);
    expect(wholeVisualDl(Buffer.concat([records[0]!, Buffer.alloc(64)]))).toBe(records[0]!.length);
  });
});

describe("TensorBoard", () => {
  it("names files as its reader looks for them", () => {
    expect(tensorBoardName(1700000000, "host", 7)).toBe("events.out.tfevents.1700000000.host.7.0");
  });

  it("frames each record with two checksums", () => {
    const record = Buffer.from(tensorBoardHead(2));
    const data = record.subarray(12, -4);
    expect(Number(record.readBigUInt64LE())).toBe(data.length);
    expect(record.readUInt32LE(8)).toBe(maskedCrc32c(record.subarray(0, 8)));
    expect(record.readUInt32LE(record.length - 4)).toBe(maskedCrc32c(data));
    expect(hex(data)).toBe("09" + "0000000000000040" + "1000" + "1a0d" + hex(Buffer.from("brain.Event:2")));
  });

  it("finds the whole records of a file that breaks off anywhere, or is damaged", () => {
    const records = [tensorBoardHead(1), tensorBoardRecords(scalar(1), 2), tensorBoardRecords(scalar(2), 3)];
    expectWhole(records, wholeTensorBoard);
    const whole = Buffer.concat(records);
    const first = records[0]!.length;
    for (let at = first; at < first + records[1]!.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x10;
      expect(wholeTensorBoard(damaged), `byte ${at}`).toBe(first);
    }
  });

  it("says what runs are compared by at their start, and at their end how it was, both at step 0", () => {
    const start: Entry = { kind: "session", tag: "", step: 0, values: { a: 1 } };
    const end = { kind: "hyperparameters", tag: "", step: 0, run: "r", values: { a: 1 }, metrics: ["m"] } as const;
    const read = (entry: Entry): { step: number; text: string }[] => {
      const bytes = Buffer.from(tensorBoardRecords(entry, 1));
      const found: { step: number; text: string }[] = [];
      for (let at = 0; at < bytes.length; ) {
        const length = Number(bytes.readBigUInt64LE(at));
        const data = bytes.subarray(at + 12, at + 12 + length);
        new PbfReader(data).readFields((tag, _, pbf) => {
          if (tag === 2) found.push({ step: pbf.readVarint(), text: data.toString("latin1") });
        }, undefined);
        at += 16 + length;
      }
      return found;
    };
    expect(read(start)).toEqual([{ step: 0, text: expect.stringContaining("_hparams_/session_start_info") }]);
    // SessionEndInfo: its status, and the second of its end as a double.
    const ends = (status: string): RegExp =>
      new RegExp(`_hparams_/session_end_info[^]*hparams\\x12\\x0d"\\x0b\\x08${status}\\x11\\0{6}\\xf0\\x3f`);
    for (const [ended, status] of [
      ["success", "\\x01"],
      ["failure", "\\x02"],
    ] as const) {
      expect(read({ ...end, ended })).toEqual([{ step: 0, text: expect.stringMatching(ends(status)) }]);
    }
    // The reader would keep it, though the run goes on.
    expect(read(end)).toEqual([]);
    expect(visualDlRecord(start, 1).length).toBe(0);
    expect(visualDlRecord(end, 1).length).toBeGreaterThan(0);
  });
});

it("the projector gets a matrix, a label a line, and a config that names both", () => {
  const vectors = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
  const files = projectorFiles({
    kind: "embeddings",
    tag: "features/validation",
    step: 1,
    labels: ["a\tb", "c"],
    vectors,
  });
  expect(files["features-validation.tsv"]).toBe("1\t2\n3\t4\n");
  expect(files["features-validation-labels.tsv"]).toBe("a b\nc\n");
  for (const name of Object.keys(files).slice(0, 2)) expect(files["projector_config.pbtxt"]).toContain(`"${name}"`);
});

function expectWhole(records: readonly Uint8Array[], whole: (bytes: Buffer) => number): void {
  const bytes = Buffer.concat(records);
  const ends = records.reduce<number[]>((all, { length }) => [...all, all.at(-1)! + length], [0]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(whole(bytes.subarray(0, cut)), `cut at ${cut}`).toBe(Math.max(...ends.filter((end) => end <= cut)));
  }
}

describe("histograms", () => {
  it("are NumPy's", () => {
    // numpy.histogram([-1, 0, 0.1, 0.5, 2, 2], bins=3)
    const { counts, edges, sum, sumOfSquares } = histogramOf([-1, 0, 0.1, 0.5, 2, 2], 3);
    expect(counts).toEqual([1, 3, 2]);
    expect(edges).toEqual([-1, 0, 1, 2]);
    expect(sum).toBeCloseTo(3.6, 12);
    expect(sumOfSquares).toBeCloseTo(9.26, 12);
  });

  it("hold one number, none, and none that is not finite", () => {
    expect(histogramOf([3, 3], 2)).toMatchObject({ counts: [0, 2], edges: [2.5, 3, 3.5] });
    expect(histogramOf([], 2)).toMatchObject({ counts: [0, 0] });
    expect(histogramOf([NaN, 1, Infinity, 2], 2)).toMatchObject({ counts: [1, 1], sum: 3 });
  });
});

describe("precision and recall", () => {
  it("at thresholds in even steps, from all images to none", () => {
    const isClass = [true, true, false, true, false];
    const curve = prCurveOf([1, 0.8, 0.6, 0.3, 0.1], (at) => isClass[at]!, 5);
    expect(curve.truePositives).toEqual([3, 3, 2, 2, 1]);
    expect(curve.falsePositives).toEqual([2, 1, 1, 0, 0]);
    expect(curve.trueNegatives).toEqual([0, 1, 1, 2, 2]);
    expect(curve.falseNegatives).toEqual([0, 0, 1, 1, 2]);
    expect(curve.precision.map((value) => Number(value.toFixed(4)))).toEqual([0.6, 0.75, 0.6667, 1, 1]);
    expect(curve.recall.map((value) => Number(value.toFixed(4)))).toEqual([1, 1, 0.6667, 0.6667, 0.3333]);
  });

  it("of nothing is zero, not NaN", () => {
    const { precision, recall } = prCurveOf([NaN], () => true, 3);
    expect([...precision, ...recall]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
