/** A photo to the square that a network sees: as the run's images were scaled, so that its answers are those of the run. */

/** Rows of pixels, `channels` bytes each, the first three of which are red, green and blue. */
export interface Pixels {
  readonly data: ArrayLike<number>;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

/** Where samples lie along one side, in pixels of the source. */
export interface Sampling {
  /** Left or upper edge of the first sample. */
  readonly from: number;
  /** Width of a sample. */
  readonly step: number;
}

/**
 * The centre of an image whose shorter side is scaled to `scale`, of which `size` pixels are taken: as the run did it, in
 * whole pixels.
 */
export function centred(width: number, height: number, scale: number, size = scale): { x: Sampling; y: Sampling } {
  const along = (side: number): Sampling => {
    const scaled = Math.max(scale, Math.round((side * scale) / Math.min(width, height)));
    const before = Math.floor((scaled - scale + 1) / 2) + Math.round((scale - size) / 2);
    const step = side / scaled;
    return { from: before * step, step };
  };
  return { x: along(width), y: along(height) };
}

export type Interpolation = "bilinear" | "bicubic";

/** Weight by distance, and from which distance on there is none: a triangle, and Catmull and Rom's cubic. */
const filters: Readonly<Record<Interpolation, { reach: number; weight: (distance: number) => number }>> = {
  bilinear: { reach: 1, weight: (x) => 1 - x },
  bicubic: {
    reach: 2,
    weight: (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2),
  },
};

/**
 * [size, size, 3] bytes by a filter which is as wide as a sample where the image shrinks: that of PIL and torchvision, with
 * antialiasing.
 */
export function resample(
  pixels: Pixels,
  x: Sampling,
  y: Sampling,
  size: number,
  interpolation: Interpolation = "bilinear",
): Uint8Array {
  const { data, width, height, channels } = pixels;
  const columns = weights(x, size, width, interpolation);
  const rows = weights(y, size, height, interpolation);
  const narrow = new Float32Array(height * size * 3);
  for (let row = 0; row < height; row++) {
    columns.forEach(({ first, shares }, column) => {
      for (let channel = 0; channel < 3; channel++) {
        let at = (row * width + first) * channels + channel;
        let sum = 0;
        for (const share of shares) {
          sum += share * data[at]!;
          at += channels;
        }
        narrow[(row * size + column) * 3 + channel] = sum;
      }
    });
  }
  const out = new Uint8Array(size * size * 3);
  const line = size * 3;
  rows.forEach(({ first, shares }, row) => {
    for (let place = 0; place < line; place++) {
      let at = first * line + place;
      let sum = 0;
      for (const share of shares) {
        sum += share * narrow[at]!;
        at += line;
      }
      out[row * line + place] = Math.max(0, Math.min(255, Math.round(sum)));
    }
  });
  return out;
}

/** For each sample the source pixels that it is made of. */
function weights(
  { from, step }: Sampling,
  size: number,
  side: number,
  interpolation: Interpolation,
): { first: number; shares: Float64Array }[] {
  const { reach, weight } = filters[interpolation];
  const wide = Math.max(1, step);
  return Array.from({ length: size }, (_, at) => {
    const centre = from + (at + 0.5) * step;
    const first = Math.max(0, Math.ceil(centre - reach * wide - 0.5));
    const last = Math.min(side - 1, Math.floor(centre + reach * wide - 0.5));
    const shares = Float64Array.from({ length: last - first + 1 }, (_, place) =>
      weight(Math.abs(first + place + 0.5 - centre) / wide),
    );
    const sum = shares.reduce((total, share) => total + share, 0);
    return { first, shares: shares.map((share) => share / sum) };
  });
}

/**
 * Square bytes of [from, from, 3] as numbers of [to, to, 3], bilinear without antialiasing: a network that was trained at
 * another size than its data has resizes in this way.
 */
export function interpolate(bytes: Uint8Array, from: number, to: number): Float32Array {
  if (from === to) return Float32Array.from(bytes);
  const places = Array.from({ length: to }, (_, at) => {
    const place = Math.min(Math.max(((at + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(place);
    return { low, high: Math.min(low + 1, from - 1), share: place - low };
  });
  const out = new Float32Array(to * to * 3);
  places.forEach((row, down) => {
    places.forEach((column, across) => {
      for (let channel = 0; channel < 3; channel++) {
        const value = (r: number, c: number): number => bytes[(r * from + c) * 3 + channel]!;
        const upper = value(row.low, column.low) * (1 - column.share) + value(row.low, column.high) * column.share;
        const lower = value(row.high, column.low) * (1 - column.share) + value(row.high, column.high) * column.share;
        out[(down * to + across) * 3 + channel] = upper * (1 - row.share) + lower * row.share;
      }
    });
  });
  return out;
}
