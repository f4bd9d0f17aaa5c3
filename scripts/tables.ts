/** Tables as text: those of results/, a head of column names and a line a run, without a comma in a cell; and those of a page. */

export type Row<Column extends string> = Record<Column, string>;

/** The rows of a file, without its head. */
export function parseRows<Column extends string>(text: string, columns: readonly Column[]): Row<Column>[] {
  const [, ...lines] = text.trim().split("\n");
  return lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? ""])) as Row<Column>;
  });
}

export function formatRows<Column extends string>(rows: readonly Row<Column>[], columns: readonly Column[]): string {
  const plain = (cell: string): string => cell.replaceAll(/[,\n]/g, " ");
  return [columns.join(","), ...rows.map((row) => columns.map((column) => plain(row[column])).join(","))].join("\n");
}

/**
 * Adds rows; each takes the place of the one with its values in the columns `keys`. Sorted by these, whole numbers as such.
 *
 * @param keys of columns, the first one sorted by first
 */
export function merged<R extends Readonly<Record<string, string>>>(
  rows: readonly R[],
  added: readonly R[],
  keys: readonly (keyof R)[],
): R[] {
  const keyOf = (row: R): string =>
    keys.map((key) => (/^\d+$/.test(row[key]!) ? row[key]!.padStart(10, "0") : row[key])).join(" ");
  const all = new Map([...rows, ...added].map((row) => [keyOf(row), row]));
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

/** A table in Markdown. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `${cells.map((cell) => (cell ? `| ${cell} ` : "| ")).join("")}|`;
  return [head, head.map(() => "---"), ...rows].map(line).join("\n");
}
