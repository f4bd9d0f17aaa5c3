/** Reads VisualDL files as far as tests need. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PbfReader } from "pbf";
import { expect } from "vitest";

export const only = (folder: string, pattern: RegExp): string => {
  const found = readdirSync(folder).filter((name) => pattern.test(name));
  expect(found).toHaveLength(1);
  return join(folder, found[0]!);
};
export const visualDlFile = (folder: string): string => only(join(folder, "visualdl"), /^vdlrecords\./);
/** A value of a VisualDL file. */
export interface Found {
  tag: string;
  step: number;
  /** The field of VisualDL's Value: 4 scalar, 5 image, 7 embeddings, 8 histogram, 9 curve, 12 text, 13 hparams. */
  field: number;
  value?: number;
}

/** All values of a run's VisualDL file, in order. */
export function readVisualDl(folder: string): Found[] {
  const bytes = readFileSync(visualDlFile(folder));
  const found: Found[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    new PbfReader(bytes.subarray(at + 8, at + 8 + length)).readFields((tag, _, pbf) => {
      if (tag !== 1) return;
      const entry: Found = { tag: "", step: 0, field: 0 };
      pbf.readMessage((field, one: Found, message) => {
        if (field === 1) one.step = message.readVarint();
        else if (field === 2) one.tag = message.readString();
        else if (field === 4) Object.assign(one, { field, value: message.readFloat() });
        else if (field > 4) one.field = field;
      }, entry);
      found.push(entry);
    }, undefined);
    at += 8 + length;
  }
  return found;
}
