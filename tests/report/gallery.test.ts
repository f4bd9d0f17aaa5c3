/** The page of heat maps: what the network says about each image, and how well the maps point. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import type { Image } from "../../core/index.js";
import type { Page } from "../../report/blocks.js";
import { createGallery, galleryPage } from "../../report/gallery.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-gallery-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const gray = (side: number): Image => ({
  pixels: new Uint8Array(3 * side * side).fill(90),
  height: side,
  width: side,
});
const pageIn = (folder: string): Page => {
  const html = readFileSync(join(folder, "gallery.html"), "utf8");
  return JSON.parse(/id="data">(.*)<\/script>/.exec(html)![1]!);
};
const imagesOf = ({ blocks }: Page) => blocks.find((block) => block.kind === "images")!;
const cat = { class: "cat", probability: 0.75 };
const dog = { class: "dog", probability: 0.2 };

describe("a gallery", () => {
  it("tells of each image its source, predicted and true class, and which class its map explains", async () => {
    const folder = join(base, "some");
    const gallery = createGallery(folder);
    const map = new Float32Array(64).fill(0.5);
    await gallery.add("a.png", gray(8), map, { source: "train/a.jpg", predicted: cat, explained: cat, truth: "cat" });
    await gallery.add("b.png", gray(8), map, { source: "train/b.jpg", predicted: cat, explained: dog, truth: "dog" });
    await gallery.add("c.png", gray(8), map, { source: join(homedir(), "c.jpg"), predicted: cat, explained: cat });
    const { page, sheet } = await gallery.finish("Maps of one", {
      "pointing game": { images: 10, hits: 9, guess: 5 },
      "grid game": undefined,
    });
    expect([page, sheet]).toEqual([join(folder, "gallery.html"), join(folder, "gallery.png")]);
    expect(readdirSync(folder).sort()).toEqual(["a.png", "b.png", "c.png", "gallery.html", "gallery.png"]);
    const written = pageIn(folder);
    expect(written).toMatchObject({ title: "Maps of one", summary: "3 images, 1 of 2 predicted wrong." });
    const { items, colours } = imagesOf(written);
    expect(items.map(({ lines, correct }) => [lines, correct])).toEqual([
      [["predicted cat 75.0 %", "true cat", "train/a.jpg"], true],
      [["predicted cat 75.0 %", "true dog", "map explains dog 20.0 %", "train/b.jpg"], false],
      [["predicted cat 75.0 %", "~/c.jpg"], undefined],
    ]);
    expect(colours!.length).toBeGreaterThan(5);
    const table = written.blocks.find((block) => block.kind === "table")!;
    expect(table.rows).toEqual([["pointing game", expect.objectContaining({ value: 0.9 }), 0.5, 10]]);
  });

  it("embeds the network's pixels as they are, and photographs as JPEG", async () => {
    const folder = join(base, "sizes");
    const gallery = createGallery(folder);
    for (const side of [32, 160])
      await gallery.add(`${side}.png`, gray(side), new Float32Array(side * side), {
        source: "x",
        predicted: cat,
        explained: cat,
      });
    await gallery.finish("t");
    const sizes = await Promise.all(
      imagesOf(pageIn(folder)).items.map(async ({ src }) => {
        const { format, width, height } = await sharp(Buffer.from(src.split(",")[1]!, "base64")).metadata();
        return [format, width, height];
      }),
    );
    expect(sizes).toEqual([
      ["png", 64, 32],
      ["jpeg", 320, 160],
    ]);
  });

  it("of one image is a page alone", async () => {
    const folder = join(base, "one");
    const gallery = createGallery(folder);
    await gallery.add("a.png", gray(8), new Float32Array(64), { source: "x", predicted: cat, explained: cat });
    expect((await gallery.finish("t")).sheet).toBeUndefined();
    expect(readdirSync(folder).sort()).toEqual(["a.png", "gallery.html"]);
  });
});

it("a page without scores has no table, and counts no prediction whose truth nobody knows", () => {
  const page = galleryPage("t", [{ src: "data:", lines: ["x"] }], {});
  expect(page.blocks).toHaveLength(1);
  expect(page.summary).toBe("1 image.");
});
