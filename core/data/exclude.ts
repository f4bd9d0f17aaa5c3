/** A list of files that a run leaves out: CSV (RFC 4180) with a column `file`, paths relative to the data's folder. */
import { readFile } from "node:fs/promises";
import { TrainerError } from "../errors.js";

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
  const [head = [], ...rows] = parseCsv(text);
  const [file, exclude] = [head.indexOf("file"), head.indexOf("exclude")];
  if (file < 0) {
    throw new TrainerError(
      "ERR_DATA",
      `exclude: ${path}: expected a column "file", got ${head.join(", ") || "nothing"}.`,
    );
  }
  return new Set(rows.flatMap((row) => (row[file] && (exclude < 0 || row[exclude] === "yes") ? [row[file]] : [])));
}

/** Rows of cells; empty lines are left out. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|$)/gy;
  const source = text.replace(/^\ufeff/, "");
  while (cell.lastIndex < source.length) {
    const match = cell.exec(source);
    if (!match)
      throw new TrainerError("ERR_DATA", `CSV: row ${rows.length + 1} has a quote that does not close its cell.`);
    row.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === ",") continue;
    if (row.some((each) => each !== "")) rows.push(row);
    row = [];
  }
  return rows;
}
