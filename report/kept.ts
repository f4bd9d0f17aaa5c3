/** `report/kept.json`, and the images that it names. */

/** What a run stores for its report alone: `report/kept.json`. */
export interface Kept {
  /** As typed. */
  readonly command?: string;
  readonly plan?: string;
  /** Split -> what the last evaluation of it came to. */
  readonly splits: Readonly<Record<string, SplitRecord>>;
  readonly augmented?: StripRecord;
  /** Of all other fields; files of 0.1.0 lack it. */
  readonly checksum?: string;
}

export interface SplitRecord {
  readonly step: number;
  readonly source: string;
  readonly classes: readonly string[];
  /** [true, predicted], row by row. */
  readonly counts: readonly number[];
  readonly worst: readonly ImageRecord[];
  /** After which the worst images were drawn: `step`, or an earlier evaluation's. */
  readonly worstStep?: number;
}

/** An image with its heat map beside it. */
export interface ImageRecord {
  /** Of a file that a browser draws; relative to the run's folder. */
  readonly path: string;
  /** Short lines for the page, the first one strong. */
  readonly lines: readonly string[];
  readonly correct: boolean;
}

/** Images of equal size beside each other. */
export interface StripRecord {
  readonly path: string;
  readonly caption: string;
  readonly columns: number;
}
