/**
 * JSON files with a checksum of their own: the last field, `checksum`, covers all others.
 *
 * It is the SHA-256 of the other fields as JSON without white space, in the file's order. White space may change; a
 * change of any value or name is detected.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { reasonOf, TrainerError } from "../core/errors.js";
import { readWhole } from "../core/files.js";
import { describeIssue } from "../core/options.js";
import { toJson } from "./json.js";

/** Bytes that such a file may have: a confusion matrix of a thousand classes takes some millions. */
const most = 1 << 26;

/** The text of a file that holds `value` and its checksum. */
export function toCheckedJson(value: object): string {
  return `${toJson({ ...value, checksum: checksumOf(value) }, 2)}\n`;
}

function checksumOf(value: object): string {
  return `sha256:${createHash("sha256").update(toJson(value)).digest("hex")}`;
}

/**
 * What a file written by `toCheckedJson` holds, its checksum included. A file of fitloop 0.1.0 has none, and is
 * believed: callers report that.
 *
 * @throws TrainerError ERR_DATA with file and field for what is damaged or of another shape; ERR_IO where the file
 *   cannot be read
 */
export function readCheckedJson<S extends z.ZodType>(path: string, schema: S): z.output<S> & { checksum?: string } {
  const content = parsed(path);
  const { checksum, ...rest } = content as { checksum?: unknown };
  if (checksum !== undefined) {
    const found = checksumOf(rest);
    if (checksum !== found) {
      throw damaged(path, `expected the checksum ${found} of its fields, got ${String(checksum).slice(0, 80)}`);
    }
  }
  const result = schema.safeParse(content);
  if (result.success) return result.data as z.output<S> & { checksum?: string };
  const [issue] = result.error.issues;
  throw damaged(path, describeIssue(issue!, schema, content)[0]!);
}

function parsed(path: string): object {
  const text = readWhole(path, { most }).toString();
  let content: unknown;
  try {
    content = JSON.parse(text);
    toJson(content); // nested so deep that nothing could be made of it
  } catch (cause) {
    throw damaged(path, `expected JSON, got ${text.length} characters that are not JSON (${reasonOf(cause)})`, cause);
  }
  if (z.record(z.string(), z.unknown()).safeParse(content).success) return content as object;
  throw damaged(path, `expected an object, got ${toJson(content).slice(0, 60)}`);
}

const damaged = (path: string, problem: string, cause?: unknown): TrainerError =>
  new TrainerError(
    "ERR_DATA",
    `${path} is damaged, was changed or was not written by fitloop: ${problem}. Restore it from a copy.`,
    { cause },
  );
