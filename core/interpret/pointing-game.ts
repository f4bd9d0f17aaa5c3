/**
 * Whether heat maps point at the object. In the pointing game (Zhang et al. 2018) the peak of a map must lie in the object's
 * box. Where that is always near the middle the game says little, so a fixed guess, the
 * centre, is to be reported beside it. The grid game (Böhle et al. 2021) needs no boxes: four images of four classes
 * make one, and the map of each class must point into its own quarter; a guess is right one time in four.
 */
import type { Box, Image } from "../data/dataset.js";

export type Place = readonly [row: number, column: number];

/** The largest value of a map [height, width]; undefined for a map without positive values. */
export function peak(map: ArrayLike<number>, width: number): Place | undefined {
  let best = -1;
  for (let at = 0; at < map.length; at++) if (map[at]! > (best < 0 ? 0 : map[best]!)) best = at;
  return best < 0 ? undefined : [Math.floor(best / width), best % width];
}

/** Whether a place lies in a box, or within `tolerance` pixels of it. */
export function lies([row, column]: Place, [top, left, bottom, right]: Box, tolerance = 0): boolean {
  const within = (at: number, from: number, to: number): boolean => at >= from - tolerance && at < to + tolerance;
  return within(row, top, bottom) && within(column, left, right);
}

/** The paper's tolerance: 15 pixels for images of 224. */
export const toleranceOf = (side: number): number => (15 / 224) * side;

/** Quarters of an image of `height` x `width`, row by row. */
export function quarters(height: number, width: number): Box[] {
  const [y, x] = [height / 2, width / 2];
  return [
    [0, 0, y, x],
    [0, x, y, width],
    [y, 0, height, x],
    [y, x, height, width],
  ];
}

/** Four images of one size as one: two rows of two, as numbers of any kind, [height, width, 3] each. */
export function grid<T extends Float32Array | Uint8Array>(
  images: readonly [T, T, T, T],
  { height, width }: Pick<Image, "height" | "width">,
): T {
  const stride = 3 * width;
  const out = new (images[0].constructor as new (length: number) => T)(4 * stride * height);
  images.forEach((pixels, quarter) => {
    const [top, left] = [Math.floor(quarter / 2) * height, (quarter % 2) * stride];
    for (let y = 0; y < height; y++) {
      out.set(pixels.subarray(stride * y, stride * (y + 1)), 2 * stride * (top + y) + left);
    }
  });
  return out;
}

/**
 * Places of a split in fours of four different classes, every image in at most one four. Classes take turns in the
 * order of their numbers, so the same labels give the same fours.
 */
export function foursOf(labels: ArrayLike<number>): [number, number, number, number][] {
  const queues = new Map<number, number[]>();
  Array.from(labels).forEach((label, at) => {
    const queue = queues.get(label);
    if (queue) queue.push(at);
    else queues.set(label, [at]);
  });
  const waiting = [...queues.keys()].sort((a, b) => a - b);
  const fours: [number, number, number, number][] = [];
  while (waiting.length >= 4) {
    const turn = waiting.splice(0, 4);
    fours.push(turn.map((label) => queues.get(label)!.shift()!) as [number, number, number, number]);
    waiting.push(...turn.filter((label) => queues.get(label)!.length > 0));
  }
  return fours;
}
