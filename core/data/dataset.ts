/**
 * What the trainer asks of a data set: two splits that read images by place, and a few numbers about them.
 *
 * Pixels stay unsigned bytes until the loader normalises them, so augmentation sees exactly what the files
 * hold.
 */

/** One image in memory: unsigned bytes, [height, width, 3], rows top to bottom, channels R G B. */
export interface Image {
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/** In pixels. */
export type Size = Pick<Image, "height" | "width">;

/** In pixels; the rectangle starts at (top, left), which a crop may place outside of the image. */
export interface Rectangle {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** Filters that scale images, both widened where they shrink (antialiased): a triangle, Catmull and Rom's cubic. */
export const interpolations = ["bilinear", "bicubic"] as const;
export type Interpolation = (typeof interpolations)[number];

/** How files become images. */
export interface Decoding {
  /** Share of the shorter side that the centre has of an image that is not cropped at random, in (0, 1]. */
  readonly crop: number;
  readonly interpolation: Interpolation;
  /** Whether an embedded colour profile is converted to sRGB. */
  readonly colorProfiles: boolean;
}

/**
 * An image with its label: what `hooks.beforeSample` gets and returns. `index` is its place in the split.
 */
export interface Sample extends Image {
  readonly label: number;
  readonly index: number;
}

/** A stored image before it is decoded: its size, orientation applied. `index` is its place in the split. */
export interface SourceImage extends Size {
  readonly label: number;
  readonly index: number;
}

/** A ground-truth box in pixels: [top, left, bottom, right), the last two exclusive. */
export type Box = readonly [top: number, left: number, bottom: number, right: number];

/** One split of a data set. */
export interface Split {
  readonly length: number;
  /** Class of each image: integers in [0, classes). */
  readonly labels: Uint16Array | Int32Array;
  /**
   * Images at these places, in order; fresh bytes, so a caller may keep or change them.
   * May decode files: call it ahead of time and decoding overlaps with training.
   *
   * @throws TrainerError ERR_DATA naming every file of this call that cannot be decoded
   */
  read(indices: ArrayLike<number>): Promise<Image[]> | Image[];
  /**
   * Regions of the stored images at these places, scaled to the data's size; left out where images have that size already.
   *
   * @param regionOf asked once for each of `indices`, `at` being its place there, with the stored image's size
   * @throws TrainerError as `read` does
   */
  readRegions?(
    indices: ArrayLike<number>,
    regionOf: (at: number, stored: Size) => Rectangle,
  ): Promise<Image[]> | Image[];
  /** Ground-truth box of an image, where the data has one. */
  box?(index: number): Box;
  /** A name for people: "train.bin#17", or a file's path. */
  describe(index: number): string;
  /** The image's own file, and its path relative to the data set, where it has one: to decode it larger for people. */
  file?(index: number): { readonly path: string; readonly name: string };
}

/** A loaded data set. */
export interface Data {
  /** Class names; a label is a place in this list. */
  readonly classes: readonly string[];
  /** Size of every image that `read` returns, in pixels. */
  readonly height: number;
  readonly width: number;
  readonly train: Split;
  /**
   * Places in `train` that are the data set's own validation images, ascending. They are not trained on, and a config's
   * `holdout` has no effect. Left out: `holdout` decides.
   */
  readonly validation?: Int32Array;
  readonly test?: Split;
  /** Channel statistics for normalising, R G B, of values in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
  /** How images were decoded from files, where they were: a prediction treats its files alike. */
  readonly decoding?: Decoding;
  /** Identity of the data for a run's record: equal content gives an equal fingerprint. */
  readonly fingerprint: string;
}

export interface LoadContext {
  /** Receives progress, one line at a time. */
  log?: (line: string) => void;
  /** Receives what was left out or looks like a mistake, one message at a time; shown with `--quiet` too. */
  warn?: (message: string) => void;
}

/** A data set that a config names. Plain options make it recordable; `load` reads it. */
export interface DataSource {
  readonly name: string;
  /** Plain JSON: enough to make the same source again. */
  readonly options: Readonly<Record<string, unknown>>;
  load(context: LoadContext): Promise<Data>;
  /**
   * The data set's sizes and class counts without its files, where they are known: enough for a plan. Images are black, and
   * classes have numbers for names.
   */
  outline?(): Data;
}
