/** How often the heat maps of a split point at the right place: the games of `pointing-game.ts`, played. */
import { tile } from "@tensorflow/tfjs-core";
import { normalised } from "../data/normalise.js";
import { type Explained, heatMaps, heatMapsOf, type ImageSet, inputOf } from "./heat-maps.js";
import { foursOf, grid, lies, peak, quarters, toleranceOf } from "./pointing-game.js";

export interface PointingScore {
  /** Maps that were scored. */
  images: number;
  hits: number;
  /** Hits of a fixed guess that ignores the image. */
  guess: number;
}

/**
 * The pointing game: does the peak of each image's map for its true class lie in its ground-truth box?
 * The fixed guess is the image's centre. The split needs `box`.
 */
export async function pointingScore(images: ImageSet, explained: Explained): Promise<PointingScore> {
  const { split, indices } = images;
  const score = { images: indices.length, hits: 0, guess: 0 };
  for await (const { index, image, map } of heatMaps(images, explained, (at) => split.labels[at]!)) {
    const { height, width } = image;
    const tolerance = toleranceOf(Math.min(height, width));
    const found = peak(map, width);
    if (found && lies(found, split.box!(index), tolerance)) score.hits++;
    if (lies([(height - 1) / 2, (width - 1) / 2], split.box!(index), tolerance)) score.guess++;
  }
  return score;
}

/** Groups of four images to score at most: enough for an interval of a few per cent. */
const mostFours = 128;

/**
 * The grid game: four images of four classes form one; does the map of each class peak in its own quarter?
 * A guess is right one time in four.
 *
 * @returns undefined for fewer than four classes
 */
export async function gridScore(
  { split, indices }: ImageSet,
  { network, data, zoom }: Explained,
): Promise<PointingScore | undefined> {
  const fours = foursOf(Array.from(indices, (index) => split.labels[index]!)).slice(0, mostFours);
  if (fours.length === 0) return undefined;
  const [height, width] = [2 * data.height, 2 * data.width];
  const score = { images: 4 * fours.length, hits: 0, guess: fours.length };
  for (const four of fours) {
    const chosen = four.map((at) => indices[at]!);
    const parts = (await split.read(chosen)).map((image) => normalised([image], data));
    const pixels = grid(parts as [Float32Array, Float32Array, Float32Array, Float32Array], data);
    const classes = chosen.map((index) => split.labels[index]!);
    const { maps } = heatMapsOf(() => tile(inputOf(pixels, [1, height, width], zoom), [4, 1, 1, 1]), {
      ...network,
      classes,
      size: [height, width],
    });
    quarters(height, width).forEach((box, at) => {
      const found = peak(maps.subarray(at * height * width, (at + 1) * height * width), width);
      if (found && lies(found, box)) score.hits++;
    });
  }
  return score;
}
