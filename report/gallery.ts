/** Heat maps as files in a folder: an image for each, all of them on one sheet, and a page that says what they are. */

import { join } from "node:path";
import type { Image } from "../core/data/dataset.js";
import { makeFolders, writeFileAtomic } from "../core/files.js";
import { percent } from "../core/format.js";
import { sheet } from "../core/image/sheet.js";
import { heatColours, overlay, rowJpeg, rowPng } from "../core/interpret/overlay.js";
import { writing } from "../run/output.js";
import type { Block, ImageTile, Page } from "./blocks.js";
import { shareOf } from "./classes.js";
import { pageHtml } from "./html.js";
import { withoutHome } from "./text.js";

/** Pairs that fit on the sheet, and into one of its rows. */
const [mostPairs, pairsInRow] = [64, 4];

/** Images from so many pixels on are photographs to the page: smaller as JPEG, and not enlarged. */
const photoHeight = 128;

/** The network's prediction for an image. */
export interface Explanation {
  /** File or place in the data set. */
  readonly source: string;
  readonly predicted: { readonly class: string; readonly probability: number };
  /** The class that the map explains. */
  readonly explained: { readonly class: string; readonly probability: number };
  /** The true class, where it is known. */
  readonly truth?: string;
}

/** How often maps peaked where they should, and how often a guess would have. */
export interface GalleryScore {
  readonly images: number;
  readonly hits: number;
  readonly guess: number;
}

export interface Gallery {
  /** Writes an image and its overlay side by side. Resolves with the file. */
  add(name: string, image: Image, map: Float32Array, explanation: Explanation): Promise<string>;
  /**
   * Writes gallery.html, and gallery.png with the first 64 pairs where there are two or more.
   *
   * @param title the page's
   * @param scores by name
   */
  finish(
    title: string,
    scores?: Readonly<Record<string, GalleryScore | undefined>>,
  ): Promise<{ page: string; sheet?: string }>;
}

/** A gallery in `folder`, which is created with its first file. @throws TrainerError ERR_OUTPUT */
export function createGallery(folder: string): Gallery {
  const pairs: Image[][] = [];
  const items: ImageTile[] = [];
  const write = (name: string, content: Uint8Array | string): string => {
    const file = join(folder, name);
    writing(folder, () => {
      makeFolders(folder);
      writeFileAtomic(file, content);
    });
    return file;
  };
  return {
    async add(name, image, map, explanation) {
      const pair = [image, overlay(image, map)];
      if (pairs.length < mostPairs) pairs.push(pair);
      items.push(await tileOf(pair, explanation));
      return write(name, await rowPng(pair));
    },
    async finish(title, scores = {}) {
      const page = write("gallery.html", pageHtml(galleryPage(title, items, scores)));
      if (pairs.length < 2) return { page };
      const rows = Array.from({ length: Math.ceil(pairs.length / pairsInRow) }, (_, row) =>
        pairs.slice(row * pairsInRow, (row + 1) * pairsInRow).flat(),
      );
      return { page, sheet: write("gallery.png", await sheet([{ rows }], { side: 96 })) };
    },
  };
}

async function tileOf(
  pair: readonly Image[],
  { source, predicted, explained, truth }: Explanation,
): Promise<ImageTile> {
  const isPhoto = pair[0]!.height >= photoHeight;
  const bytes = isPhoto ? await rowJpeg(pair) : await rowPng(pair, 1);
  const lines = [
    `predicted ${predicted.class} ${percent(predicted.probability)}`,
    ...(truth === undefined ? [] : [`true ${truth}`]),
    ...(explained.class === predicted.class
      ? []
      : [`map explains ${explained.class} ${percent(explained.probability)}`]),
    withoutHome(source),
  ];
  return {
    src: `data:image/${isPhoto ? "jpeg" : "png"};base64,${Buffer.from(bytes).toString("base64")}`,
    lines,
    ...(truth === undefined ? {} : { correct: truth === predicted.class }),
  };
}

/** The page: how well the maps point, where that was measured, and a tile for each image. */
export function galleryPage(
  title: string,
  items: readonly ImageTile[],
  scores: Readonly<Record<string, GalleryScore | undefined>>,
): Page {
  const rows = Object.entries(scores).flatMap(([name, score]) =>
    score ? [[name, shareOf(score.hits, score.images), score.guess / score.images, score.images]] : [],
  );
  const wrong = items.filter(({ correct }) => correct === false).length;
  const known = items.filter(({ correct }) => correct !== undefined).length;
  const table: Block = {
    kind: "table",
    title: "How well the maps point",
    note: "Share of maps whose peak lies where it should, and the share that a guess reaches.",
    columns: [
      { name: "game", format: "text" },
      { name: "hits", format: "percent", bar: true },
      { name: "hits of a guess", format: "percent", bar: true },
      { name: "maps", format: "integer" },
    ],
    rows,
  };
  return {
    title,
    summary:
      known > 0
        ? `${items.length} images, ${wrong} of ${known} predicted wrong.`
        : `${items.length} ${items.length === 1 ? "image" : "images"}.`,
    blocks: [
      {
        kind: "images",
        title: "Heat maps",
        note:
          "Left the image, right its Grad-CAM." +
          (known > 0 ? " A green edge marks a correct prediction, a red one a wrong prediction." : ""),
        items,
        colours: heatColours,
      },
      ...(rows.length > 0 ? [table] : []),
    ],
  };
}
