/** Output for people. Standard output carries results; standard error everything else. */
import type { Emitter } from "mitt";
import pc from "picocolors";
import stringWidth from "string-width";
import type { Events } from "../core/loop/events.js";

/** Characters that move the cursor, colour the screen or reverse the direction of text. */
const controls = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Escapes control characters in text from outside, so that it fits into a line: ESC becomes \x1b. Characters that JSON
 * leaves raw are escaped as in JSON, so a line of JSON keeps its meaning.
 */
export function plain(text: string): string {
  return text.replace(controls, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 0x20 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The same for a text of several lines. */
const plainLines = (text: string): string => text.split("\n").map(plain).join("\n");

/** Writes a line to standard error. `paint` adds colours after escaping. */
export function tell(line: string, paint: (line: string) => string = String): void {
  process.stderr.write(`${paint(plainLines(line))}\n`);
}

/** Writes a result to standard output, text or JSON. */
export function print(text: string): void {
  process.stdout.write(`${plainLines(text)}\n`);
}

/** Writes a warning for people. */
export function tellWarning(message: string): void {
  tell(`warning: ${message}`, colorsFor(process.stderr).yellow);
}

/** Writes every warning of a run. */
export function tellWarnings(events: Emitter<Events>): void {
  events.on("warning", ({ message }) => tellWarning(message));
}

/** Columns of a terminal; 80 where the stream is none or reports none. */
export function columns(stream: NodeJS.WriteStream = process.stderr): number {
  const { columns: width } = stream;
  return width !== undefined && width > 0 ? width : 80;
}

/** Whether a stream is a terminal with escape sequences. */
export const obeys = ({ isTTY }: { isTTY?: boolean }): boolean => isTTY === true && process.env.TERM !== "dumb";

/** Colours for a terminal. NO_COLOR switches them off, FORCE_COLOR on. */
export function colorsFor(stream: { isTTY?: boolean }): ReturnType<typeof pc.createColors> {
  return pc.createColors(!process.env.NO_COLOR && (!!process.env.FORCE_COLOR || obeys(stream)));
}

/** Least milliseconds between two updates of a live line. */
const pace = 100;

/** A line on standard error that overwrites itself. Silent where standard error is no terminal. */
export interface LiveLine {
  /** Draws `line` at the current width, at most every 100 ms. */
  draw(line: (width: number) => string): void;
  clear(): void;
}

export function liveLine(): LiveLine {
  const live = obeys(process.stderr);
  let drawn = 0;
  let onScreen = false;
  return {
    draw(line) {
      const now = performance.now();
      if (!live || now - drawn < pace) return;
      drawn = now;
      process.stderr.write(`\r\x1b[K${plain(line(columns() - 1))}`);
      onScreen = true;
    },
    clear() {
      if (onScreen) process.stderr.write("\r\x1b[K");
      onScreen = false;
    },
  };
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const graphemes = (text: string): string[] => Array.from(segmenter.segment(text), ({ segment }) => segment);

/** Columns of a text on a terminal. */
export const displayWidth = (text: string): number => stringWidth(text);

/** Shortens a text to `width` columns in the middle, since names differ at their ends. */
export function shortened(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width < 1) return "";
  const signs = graphemes(text);
  const kept = { head: "", tail: "" };
  for (let turn = 0, left = width - 1; ; turn++) {
    const sign = turn % 2 === 0 ? signs.shift()! : signs.pop()!;
    left -= displayWidth(sign);
    if (left < 0) return `${kept.head}…${kept.tail}`;
    if (turn % 2 === 0) kept.head += sign;
    else kept.tail = sign + kept.tail;
  }
}

/** Least width of the first column; below it, other columns are dropped. */
const leastName = 12;

/**
 * Aligns rows in columns: the first left, the others right. Above `limit` the first column is shortened, then columns are
 * dropped from the right, so put the least important last.
 *
 * @param limit width in columns; default: that of standard output, unlimited where it is no terminal
 */
export function table(
  rows: readonly (readonly string[])[],
  indent = "",
  limit = process.stdout.isTTY ? columns(process.stdout) : Number.POSITIVE_INFINITY,
): string {
  const cells = rows.map((row) => row.map(plain));
  const widths = Array.from({ length: Math.max(0, ...cells.map((row) => row.length)) }, (_, column) =>
    Math.max(...cells.map((row) => displayWidth(row[column] ?? ""))),
  );
  const others = (): number => widths.slice(1).reduce((sum, width) => sum + width + 2, indent.length);
  while (widths.length > 2 && Math.min(widths[0]!, leastName) + others() > limit) widths.pop();
  const name = Math.max(1, Math.min(widths[0] ?? 0, limit - others()));
  const padded = (cell: string, column: number): string => {
    if (column === 0) {
      const shown = shortened(cell, name);
      return shown + " ".repeat(name - displayWidth(shown));
    }
    return " ".repeat(widths[column]! - displayWidth(cell)) + cell;
  };
  return cells.map((row) => (indent + row.slice(0, widths.length).map(padded).join("  ")).trimEnd()).join("\n");
}

/** One block per number, scaled from the lowest to the highest; empty for fewer than two numbers. */
export function sparkline(values: readonly number[]): string {
  const known = values.filter(Number.isFinite);
  if (known.length < 2) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const blocks = "▁▂▃▄▅▆▇█";
  const place = (value: number): number => (high > low ? Math.round((7 * (value - low)) / (high - low)) : 3);
  return values.map((value) => (Number.isFinite(value) ? blocks[place(value)]! : " ")).join("");
}
