/** CSV (RFC 4180). */
import { TrainerError } from "../errors.js";

export interface CsvRow {
  /** In the file, from 1 on: where the row begins. */
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Rows of cells; empty lines are left out. Lines end with LF, CR LF or CR. Where the first line has semicolons and no comma,
 * they separate the cells: Excel writes so where a comma is the decimal point.
 *
 * @param path named in errors
 * @throws TrainerError ERR_DATA for a quote that does not close its cell
 */
export function csvRows(text: string, path: string): CsvRow[] {
  const rows: CsvRow[] = [];
  let cells: string[] = [];
  let [line, start] = [1, 1];
  const whole = text.replace(/^\ufeff/, "");
  const separator = /^[^,\r\n]*;[^,\r\n]*(?:[\r\n]|$)/.test(whole) ? ";" : ",";
  const cell = new RegExp(`(?:"([^"]*(?:""[^"]*)*)"|([^"${separator}\\r\\n]*))(${separator}|\\r\\n|\\n|\\r)`, "gy");
  const source = /[\r\n]$/.test(whole) ? whole : `${whole}\n`;
  while (cell.lastIndex < source.length) {
    const match = cell.exec(source);
    if (!match) {
      throw new TrainerError("ERR_DATA", `${path}: line ${line}: expected a quote that opens or closes a cell.`);
    }
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    line += match[0].split(/\r\n|\n|\r/).length - 1;
    if (match[3] === separator) continue;
    if (cells.some((each) => each !== "")) rows.push({ line: start, cells });
    cells = [];
    start = line;
  }
  return rows;
}

/** Cells as a line, without its end. */
export const csvLine = (cells: readonly string[]): string =>
  cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",");
