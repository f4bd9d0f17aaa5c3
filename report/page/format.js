// @ts-check
/** Numbers and tables as text. */

/** @type {Record<import("../blocks.js").Format, (value: any) => string>} */
export const formats = {
  percent: (value) => `${(100 * value).toFixed(1)} %`,
  number: (value) =>
    Math.abs(value) >= 1e7 && Number.isFinite(value)
      ? String(value.toExponential(3)).replace(/\.?0*e\+/, "e")
      : String(Number(value.toPrecision(4))),
  integer: (value) => Math.round(value).toLocaleString("en"),
  text: String,
};

/** @param {import("../blocks.js").Cell | undefined} cell @returns {cell is import("../blocks.js").Measured} */
export const isMeasured = (cell) => typeof cell === "object" && cell !== null;

/** @param {import("../blocks.js").Cell | undefined} cell the number in it, or its text */
export const plainValue = (cell) => (isMeasured(cell) ? cell.value : (cell ?? null));

/**
 * Numbers that JSON cannot write come as text: "NaN", "Infinity".
 *
 * @param {import("../blocks.js").Cell | undefined} cell
 * @param {import("../blocks.js").Format} format
 */
export function shown(cell, format) {
  const value = plainValue(cell);
  if (value === null) return "";
  const text = typeof value === "number" ? formats[format](value) : String(value);
  return isMeasured(cell) && cell.deviation !== undefined ? `${text} ± ${spreadText(cell.deviation, format)}` : text;
}

/** A number beside an axis: 40 %, and a decimal where the axis has need of it. @param {number} value @param {import("../blocks.js").Format} format */
export const tick = (value, format) =>
  format === "percent" ? `${Number((100 * value).toFixed(2))} %` : formats[format](value);

/** Two digits of a deviation say all that few seeds know. @param {number} deviation @param {import("../blocks.js").Format} format */
export const spreadText = (deviation, format) =>
  format === "number" ? String(Number(deviation.toPrecision(2))) : formats[format](deviation);

/** @param {number} count @param {string} noun */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/**
 * @param {number} difference
 * @param {import("../blocks.js").Format} format
 */
export function signed(difference, format) {
  const sign = difference < 0 ? "−" : "+";
  const size = Math.abs(difference);
  return format === "percent" ? `${sign}${(100 * size).toFixed(1)} points` : `${sign}${formats[format](size)}`;
}

/** @param {number} seconds 3 h 5 min, 4 min, 27 s */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Numbers before text before nothing, whichever way a column is sorted. */
const rank = (/** @type {unknown} */ value) => (typeof value === "number" ? 0 : value === null || value === "" ? 2 : 1);

/**
 * Rows of a table in the order of one column; of equal ones the order stays.
 *
 * @template {readonly import("../blocks.js").Cell[]} Row
 * @param {readonly Row[]} rows
 * @param {number} column
 * @param {boolean} down
 * @returns {Row[]}
 */
export function sorted(rows, column, down) {
  return [...rows].sort((one, other) => {
    const [a, b] = [plainValue(one[column]), plainValue(other[column])];
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? -order : order;
  });
}

/**
 * @param {readonly import("../blocks.js").Cell[]} cells
 * @param {import("../blocks.js").Column["better"]} better
 * @returns {number} row of the best number; -1 where fewer than two are numbers or all are the same
 */
export function bestRow(cells, better) {
  const values = cells.map(plainValue);
  const known = values.filter((value) => typeof value === "number");
  if (better === undefined || new Set(known).size < 2) return -1;
  return values.indexOf(better === "higher" ? Math.max(...known) : Math.min(...known));
}

/**
 * Text as RFC 4180 has it. A spreadsheet takes a text that begins with =, +, - or @ for a formula: an apostrophe
 * stands before it.
 *
 * @param {readonly (readonly (string | number | null | undefined)[])[]} rows
 */
export function csv(rows) {
  const field = (/** @type {string | number | null | undefined} */ value) => {
    if (typeof value !== "string") return value === null || value === undefined ? "" : String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}
