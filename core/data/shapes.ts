/**
 * Drawn scenes with one shape each: a data set that needs no file, for tests, demonstrations and Grad-CAM,
 * since it knows the exact box of what is to be seen.
 *
 * Position, size, rotation, background and noise are random, and so are hue and texture as long as the kinds
 * of shapes suffice for the classes: the mean colour says nothing then. More classes than kinds divide a kind
 * by texture and hue.
 */

import { createHash } from "node:crypto";
import { z } from "zod";

import { type Part, partFactory } from "../parts.js";
import { stream } from "../rng.js";
import type { DataSource, Image, Split } from "./dataset.js";
import {
  type Drawing,
  drawScene,
  extent,
  hsv,
  type Scene,
  type ShapeKind,
  shapeKinds,
  textures,
} from "./draw-shape.js";

export interface ShapesOptions {
  /** Default: 10, one for each kind of shape. */
  classes?: number;
  /** Height and width. Default: 32. */
  size?: number;
  /** Multiplies the size of the shapes and not the image's: smaller ones lie further from the middle. Default: 1. */
  scale?: number;
  /** Training images. Default: 2000. */
  train?: number;
  /** Test images. Default: 500. */
  test?: number;
  /** Default: 1. */
  seed?: number;
}

const schema = z.strictObject({
  classes: z.int().min(2).max(65_535).default(10).describe("kinds of shapes"),
  size: z.int().min(8).max(4096).default(32).describe("height and width of every image, in pixels"),
  scale: z.number().min(0.1).max(1).optional().describe("size of the shapes as a share of the image; 1 if left out"),
  train: z.int().min(2).default(2000).describe("training images"),
  test: z.int().min(1).default(500).describe("test images"),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(1)
    .describe("another seed gives other images"),
});

const kinds = Object.keys(shapeKinds) as ShapeKind[];

/** Of the default set; `trainer data verify` measures them for any other. */
const mean = [0.505, 0.505, 0.505] as const;
const deviation = [0.223, 0.223, 0.223] as const;

/** Images are drawn when first read and kept up to so many bytes; what does not fit is drawn each time. */
const keptBytes = 256e6;

/** Shapes in `classes` classes; image i of a split is of class i modulo `classes`. */
export const shapes: (options?: ShapesOptions) => Part<DataSource> = partFactory(
  "data",
  "shapes",
  schema,
  (options) => {
    return {
      name: "shapes",
      options,
      async load() {
        const { classes, size, train, test } = options;
        return {
          classes: Array.from({ length: classes }, (_, label) => className(label, classes)),
          height: size,
          width: size,
          train: drawnSplit("train", train, options),
          test: drawnSplit("test", test, options),
          mean,
          deviation,
          fingerprint: createHash("sha256")
            .update(`shapes 1 ${JSON.stringify(options)}`)
            .digest("hex"),
        };
      },
    };
  },
);

type Filled = Required<Omit<ShapesOptions, "scale">> & Pick<ShapesOptions, "scale">;

function drawnSplit(name: "train" | "test", length: number, { classes, size, scale, seed }: Filled): Split {
  const labels = Uint16Array.from({ length }, (_, index) => index % classes);
  const kept = length * size * size * 3 <= keptBytes ? new Array<Drawing | undefined>(length) : undefined;
  function draw(index: number): Drawing {
    const known = kept?.[index];
    if (known) return known;
    const scene = composeScene(labels[index]!, { classes, size, scale, seed }, name, index);
    const drawing = drawScene(scene, stream(seed, `shapes/${name}/noise`, index));
    if (kept) kept[index] = drawing;
    return drawing;
  }
  return {
    length,
    labels,
    read: (indices) =>
      Array.from(
        indices,
        (index): Image => ({
          pixels: draw(index).pixels.slice(),
          height: size,
          width: size,
        }),
      ),
    box: (index) => draw(index).box,
    describe: (index) => `shapes/${name}#${index}`,
  };
}

/** The kind of a class, and which variant of that kind it is: `variant` of `variants`. */
function placeOf(label: number, classes: number): { kind: ShapeKind; variant: number; variants: number } {
  const at = label % kinds.length;
  const variants = Math.floor((classes - 1 - at) / kinds.length) + 1;
  return { kind: kinds[at]!, variant: Math.floor(label / kinds.length), variants };
}

/** Hue bands that a kind's classes need beside the textures. */
const bandsFor = (variants: number): number => Math.ceil(variants / textures.length);

function className(label: number, classes: number): string {
  const { kind, variant, variants } = placeOf(label, classes);
  if (variants === 1) return kind;
  const texture = textures[variant % textures.length]!;
  const bands = bandsFor(variants);
  return bands === 1
    ? `${texture} ${kind}`
    : `${texture} ${kind}, hue ${Math.floor(variant / textures.length)}/${bands}`;
}

/** The scene of one image, a function of seed, split and index. */
export function composeScene(
  label: number,
  { classes, size, scale = 1, seed }: Pick<Filled, "classes" | "size" | "scale" | "seed">,
  split: "train" | "test",
  index: number,
): Scene {
  const rng = stream(seed, `shapes/${split}`, index);
  const { kind, variant, variants } = placeOf(label, classes);
  const bands = bandsFor(variants);
  const band = Math.floor(variant / textures.length);
  // Bands leave a quarter of their width between each other, so that no hue lies on a border.
  const hue = bands === 1 ? rng.uniform() : (band + rng.range(0.125, 0.875)) / bands;
  const anyTexture = textures[rng.int(textures.length)]!;
  const texture = variants === 1 ? anyTexture : textures[variant % textures.length]!;

  // A pixel of margin keeps the blended edge inside. Saturated on pale is what makes every edge visible.
  const radius = Math.min(scale * size * rng.range(0.27, 0.4), (size / 2 - 1) / extent);
  const margin = radius * extent + 1;
  const groundValue = rng.range(0.25, 0.85);
  const endValue = groundValue + rng.range(-0.15, 0.15);
  return {
    size,
    kind,
    texture,
    centre: [rng.range(margin, size - margin), rng.range(margin, size - margin)],
    radius,
    angle: rng.range(0, 2 * Math.PI),
    colour: hsv(hue, rng.range(0.7, 1), rng.range(0.7, 1)),
    accent: groundValue > 0.5 ? [12, 12, 12] : [243, 243, 243],
    ground: [hsv(rng.uniform(), rng.range(0, 0.3), groundValue), hsv(rng.uniform(), rng.range(0, 0.3), endValue)],
    slope: rng.range(0, 2 * Math.PI),
    noise: rng.range(6, 20),
  };
}
