/** What people read: on standard error when standard output is for machines. */
import type { Emitter } from "mitt";
import pc from "picocolors";
import type { Events } from "../core/loop/events.js";

/** What would move the cursor, colour the screen or turn the direction of a line around. */
const controls = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * A name from outside, as it can stand within a line: controls are spelt out, ESC as \x1b. Those that JSON leaves raw are
 * spelt as JSON would, so a line of JSON means the same after it.
 */
export function plain(text: string): string {
  return text.replace(controls, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 0x20 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The same of a text of several lines. */
const plainLines = (text: string): string => text.split("\n").map(plain).join("\n");

/** Writes a line for people; `paint` is the only way to a colour. */
export function tell(line: string, paint: (line: string) => string = String): void {
  process.stderr.write(`${paint(plainLines(line))}\n`);
}

/** Writes a result, text or JSON. */
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

/** Columns of a terminal; 80 where there is none, or where it says nothing useful. */
export function columns(stream: NodeJS.WriteStream = process.stderr): number {
  const { columns: width } = stream;
  return width !== undefined && width > 0 ? width : 80;
}

/** Whether a stream is a terminal that understands escape sequences. */
export const obeys = ({ isTTY }: { isTTY?: boolean }): boolean => isTTY === true && process.env.TERM !== "dumb";

/**
 * Colours for a stream: where it is a terminal, unless NO_COLOR says otherwise; everywhere with FORCE_COLOR.
 */
export function colorsFor(stream: { isTTY?: boolean }): ReturnType<typeof pc.createColors> {
  return pc.createColors(!process.env.NO_COLOR && (!!process.env.FORCE_COLOR || obeys(stream)));
}

/** Milliseconds between two drawings of a live line. */
const pace = 100;

/** A line of standard error that is written over itself; nothing where there is no terminal for it. */
export interface LiveLine {
  /** Draws what `line` makes of the width there is, if the last drawing is not too fresh. */
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

/** Two columns each: the wide and fullwidth blocks of Unicode's East Asian Width, and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\ufe0f\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Columns that a terminal gives a text. */
export function displayWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  const widthOf = (sign: string): number => (wide.test(sign) ? 2 : /^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(sign) ? 0 : 1);
  return graphemes(text).reduce((sum, sign) => sum + widthOf(sign), 0);
}

/** Fits a text into columns by leaving out of its middle: names differ at their ends. */
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

/** Columns of the first column below which others are left out. */
const leastName = 12;

/**
 * Rows in columns of the width they need: the first left, the others right. Where `limit` is too narrow the first column is
 * shortened, and from the right columns are left out, so those that say least stand last.
 *
 * @param limit columns of the screen; those of standard output, and no end where that is no terminal
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

/** 58.3 %. */
export const percent = (fraction: number): string => `${(fraction * 100).toFixed(1)} %`;

/** 1 h 02 min, 3 min 05 s, 12 s. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${whole} s`;
}

/** One letter a number, from the lowest to the highest of them; nothing for fewer than two. */
export function sparkline(values: readonly number[]): string {
  const known = values.filter(Number.isFinite);
  if (known.length < 2) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const blocks = "▁▂▃▄▅▆▇█";
  const place = (value: number): number => (high > low ? Math.round((7 * (value - low)) / (high - low)) : 3);
  return values.map((value) => (Number.isFinite(value) ? blocks[place(value)]! : " ")).join("");
}
