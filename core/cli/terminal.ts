/** What people read: on standard error when standard output is for machines. */
import type { Emitter } from "mitt";
import pc from "picocolors";
import type { Events } from "../loop/events.js";

/** Writes a line for people. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Says every warning of a run. */
export function tellWarnings(events: Emitter<Events>): void {
  events.on("warning", ({ message }) => tell(colorsFor(process.stderr).yellow(`warning: ${message}`)));
}

/** Columns of a terminal; 80 where there is none, or where it says nothing useful. */
export function columns(stream: NodeJS.WriteStream = process.stderr): number {
  const { columns: width } = stream;
  return width !== undefined && width > 0 ? width : 80;
}

/**
 * Colours for a stream: where it is a terminal, unless NO_COLOR says otherwise; everywhere with FORCE_COLOR.
 */
export function colorsFor({ isTTY }: { isTTY?: boolean }): ReturnType<typeof pc.createColors> {
  return pc.createColors(!process.env.NO_COLOR && (!!process.env.FORCE_COLOR || isTTY === true));
}

/** Rows in columns of the width they need: the first left, the others right. */
export function table(rows: readonly (readonly string[])[], indent = ""): string {
  const widths = rows.reduce<number[]>(
    (sizes, row) => row.map((cell, column) => Math.max(sizes[column] ?? 0, cell.length)),
    [],
  );
  return rows
    .map((row) =>
      (
        indent +
        row
          .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
          .join("  ")
      ).trimEnd(),
    )
    .join("\n");
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
