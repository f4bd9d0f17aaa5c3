/** What a page is made of: plain JSON that the scripts of page/ draw. */

/** How numbers are shown. */
export type Format = "percent" | "number" | "integer" | "text";

/** A figure with what is known about its spread: the ends of an interval, or a deviation over seeds and their count. */
export interface Measured {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
  readonly deviation?: number;
  readonly count?: number;
}

/** Text stands as it is, also in a column of numbers: "NaN", "2 of 3". */
export type Cell = string | number | null | Measured;

export interface Column {
  readonly name: string;
  readonly format: Format;
  /** Draws each share, with its interval, as a bar from 0 to 1. */
  readonly bar?: boolean;
  /** Which value of the column is marked as the best. */
  readonly better?: "higher" | "lower";
}

/** A line through (step, value) points; beyond its ends it continues with the slope of the nearest segment. */
export interface Line {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** What a run's steps are in other units: charts can be drawn over each of them. */
export interface Clock {
  readonly epoch?: Line;
  /** Training time. */
  readonly seconds?: Line;
}

export interface Series {
  readonly name: string;
  /** Rising; steps, unless the chart's `xLabel` says otherwise. */
  readonly x: readonly number[];
  /** Beside x; null where there is nothing. */
  readonly y: readonly (number | null)[];
  /** A band around each y. */
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
  /** "noisy": single steps, drawn faint under their smoothed line. "points": nothing between them. */
  readonly look?: "noisy" | "points";
  /** Place in the page's `clocks`. */
  readonly clock?: number;
  /** Shown while the chart's choice of this name is made; always where it has none. */
  readonly view?: string;
}

export interface Chart {
  readonly kind: "chart";
  readonly format: Format;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** Which value is the best one; neither where that is nothing to ask. */
  readonly best?: "least" | "greatest";
  readonly logX?: boolean;
  readonly logY?: boolean;
  /** Steps at which epochs ended. */
  readonly epochs?: readonly number[];
  /** Places on x that a name stands at. */
  readonly marks?: readonly { readonly x: number; readonly name: string }[];
  /** Names for the places 0, 1, … of an x that is no number. */
  readonly categories?: readonly string[];
}

export interface ImageTile {
  /** A data URL. */
  readonly src: string;
  /** Short lines under it, the first one strong. */
  readonly lines: readonly string[];
  /** Edge of the tile: whether the prediction is the true class. */
  readonly correct?: boolean;
}

/** Values of finished runs, beside `runs`: fields in which their configs differ, and results. */
export interface RunValues {
  readonly runs: readonly { readonly name: string; readonly group: string }[];
  readonly x: readonly { readonly name: string; readonly values: readonly (string | number | null)[] }[];
  readonly y: readonly {
    readonly name: string;
    readonly format: Format;
    readonly better?: Column["better"];
    readonly values: readonly (number | null)[];
  }[];
}

export type Block = { readonly title: string; readonly note?: string } & (
  | { readonly kind: "heading" }
  | {
      readonly kind: "tiles";
      readonly items: readonly {
        readonly label: string;
        readonly format: Format;
        readonly value: Cell;
        readonly note?: string;
      }[];
    }
  | { readonly kind: "facts"; readonly rows: readonly (readonly [label: string, value: string])[] }
  | Chart
  /** One value of each run against another: every x with every y can be chosen. */
  | ({ readonly kind: "scatter" } & RunValues)
  /** A line for each run across all x to one y, which can be chosen. */
  | ({ readonly kind: "parallel" } & RunValues)
  | {
      readonly kind: "table";
      readonly columns: readonly Column[];
      readonly rows: readonly (readonly Cell[])[];
      /** Rows shown before "show all". */
      readonly first?: number;
      /** A row can be chosen that the others' numbers are compared with. */
      readonly compare?: boolean;
    }
  | {
      readonly kind: "confusion";
      readonly classes: readonly string[];
      /** [true, predicted], row by row. */
      readonly counts: readonly number[];
    }
  | {
      readonly kind: "images";
      readonly items: readonly ImageTile[];
      /** Colours from 0 to 1 of the heat maps in them. */
      readonly colours?: readonly string[];
    }
  /** One image that has `columns` of equal size beside each other, shown as so many tiles. */
  | { readonly kind: "strip"; readonly src: string; readonly columns: number }
  | {
      readonly kind: "text";
      readonly text: string;
      readonly open?: boolean;
      /** Sentences, which are wrapped, with a coloured edge: of a failure or of warnings. */
      readonly tone?: "bad" | "warning";
    }
);

/** Of a run under way. */
export interface Live {
  /** The page asks its file for news every so many seconds. */
  readonly reload: number;
  /** When the page was written, in milliseconds since 1970. */
  readonly written: number;
  readonly done: number;
  /** Steps; undefined if unknown. */
  readonly total?: number;
  readonly secondsLeft?: number;
  /** Of the last checkpoint. */
  readonly checkpoint?: number;
}

export interface Page {
  readonly title: string;
  /** A sentence under the title. */
  readonly summary: string;
  readonly live?: Live;
  /** Known to pages of this run alone: one that was opened earlier asks the file for its present content with it. */
  readonly key?: string;
  readonly clocks?: readonly Clock[];
  readonly blocks: readonly Block[];
}
