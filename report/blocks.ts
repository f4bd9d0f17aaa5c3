/** What a page is made of: plain JSON, drawn by page.js. */

export interface Series {
  readonly name: string;
  /** Beside the block's x; null where there is nothing. */
  readonly y: readonly (number | null)[];
  /** Least and greatest around each y. */
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
  /** Points rather than a line: figures of epochs among those of steps. */
  readonly points?: boolean;
}

/** How numbers are shown. */
export type Format = "percent" | "number" | "integer" | "text";

export type Block = { readonly title: string; readonly note?: string } & (
  | { readonly kind: "facts"; readonly rows: readonly (readonly [label: string, value: string])[] }
  | {
      readonly kind: "chart";
      readonly format: Format;
      readonly xLabel: string;
      readonly x: readonly number[];
      readonly series: readonly Series[];
      /** Which value is the best one; neither where that is nothing to ask. */
      readonly best?: "least" | "greatest";
    }
  | {
      readonly kind: "table";
      readonly columns: readonly { readonly name: string; readonly format: Format }[];
      readonly rows: readonly (readonly (string | number | null)[])[];
      /** Rows shown before "show all". */
      readonly first?: number;
    }
  | {
      readonly kind: "confusion";
      readonly classes: readonly string[];
      /** [true, said], row by row. */
      readonly counts: readonly number[];
    }
  | { readonly kind: "pictures"; readonly items: readonly { readonly src: string; readonly caption: string }[] }
  | { readonly kind: "text"; readonly text: string; readonly open?: boolean }
);

export interface Page {
  readonly title: string;
  /** A sentence under the title. */
  readonly summary: string;
  /** Looks again after so many seconds, as long as the run lasts. */
  readonly reload?: number;
  readonly blocks: readonly Block[];
}

/** Curves of several lengths over one x: every step that any of them has. */
export function aligned(
  curves: readonly { readonly name: string; readonly points: ReadonlyMap<number, number>; readonly dots?: boolean }[],
): { x: number[]; series: Series[] } {
  const x = [...new Set(curves.flatMap(({ points }) => [...points.keys()]))].sort((a, b) => a - b);
  const series = curves.map(({ name, points, dots }) => ({
    name,
    y: x.map((step) => points.get(step) ?? null),
    ...(dots ? { points: true } : {}),
  }));
  return { x, series };
}
