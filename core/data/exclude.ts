/** A list of files that a run leaves out: CSV (RFC 4180) with a column `file`, paths relative to the data's folder. */
import { readFile } from "node:fs/promises";
import { TrainerError } from "../errors.js";
import { csvRows } from "./csv.js";

/**
 * Files whose row says "yes" in the column `exclude`, or all where there is no such column.
 *
 * @throws TrainerError ERR_DATA for a file that cannot be read or has no column `file`
 */
export async function readExcluded(path: string): Promise<ReadonlySet<string>> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === "ENOENT" ? "does not exist" : `cannot be read (${cause.code})`;
    throw new TrainerError("ERR_DATA", `exclude: ${path} ${problem}. Expected a CSV file with a column "file".`, {
      cause,
    });
  });
  const [head = [], ...rows] = csvRows(text, path).map(({ cells }) => cells);
  const [file, exclude] = [head.indexOf("file"), head.indexOf("exclude")];
  if (file < 0) {
    throw new TrainerError(
      "ERR_DATA",
      `exclude: ${path}: expected a column "file", got ${head.join(", ") || "nothing"}.`,
    );
  }
  return new Set(rows.flatMap((row) => (row[file] && (exclude < 0 || row[exclude] === "yes") ? [row[file]] : [])));
}
