/** Heat maps as image files in a folder: each beside its image, and all of them together. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Picture } from "../core/data/dataset.js";
import { sheet } from "../core/image/sheet.js";
import { overlay, rowPng } from "../core/interpret/overlay.js";
import { writing } from "../run/output.js";

/** Pairs that fit into a gallery, and into one of its rows. */
const [mostPairs, pairsInRow] = [64, 4];

export interface Gallery {
  /** Writes an image and its overlay side by side. Resolves with the file. */
  add(name: string, image: Picture, map: Float32Array): Promise<string>;
  /** Writes gallery.png with the first 64 pairs. Resolves with the file, or undefined for fewer than two pairs. */
  finish(): Promise<string | undefined>;
}

/** A gallery in `folder`, which is created with its first file. @throws TrainerError ERR_OUTPUT */
export function createGallery(folder: string): Gallery {
  const pairs: Picture[][] = [];
  const write = (name: string, png: Buffer): string => {
    const file = join(folder, name);
    writing(folder, () => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, png);
    });
    return file;
  };
  return {
    async add(name, image, map) {
      const pair = [image, overlay(image, map)];
      if (pairs.length < mostPairs) pairs.push(pair);
      return write(name, await rowPng(pair));
    },
    async finish() {
      if (pairs.length < 2) return undefined;
      const rows = Array.from({ length: Math.ceil(pairs.length / pairsInRow) }, (_, row) =>
        pairs.slice(row * pairsInRow, (row + 1) * pairsInRow).flat(),
      );
      return write("gallery.png", await sheet([{ rows }], { side: 96 }));
    },
  };
}
