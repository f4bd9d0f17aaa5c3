import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { issuesCsv } from "../../../cli/data-check.js";
import { csvRows } from "../../../core/data/csv.js";
import { imageFolder } from "../../../core/data/image-folder.js";
import { type FolderInspection, inspectFolder, perceptualHash } from "../../../core/data/inspect.js";
import { makePart } from "../../../core/parts.js";
import { dataCheckPage } from "../../../report/data-page.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const folder = temporaryFolder();

/** A cloud of soft and hard colours, another one for each number. */
function photo(seed: number, width = 96, height = 80) {
  const coarse = Uint8Array.from(
    { length: 12 * 10 * 3 },
    (_, at) => createHash("md5").update(`${seed} ${at}`).digest()[0]!,
  );
  return sharp(coarse, { raw: { width: 12, height: 10, channels: 3 } }).resize(width, height, {
    fit: "fill",
    kernel: "cubic",
  });
}
const plain = (grey: number) =>
  sharp({ create: { width: 96, height: 80, channels: 3, background: { r: grey, g: grey, b: grey } } });

let found: FolderInspection;
beforeAll(async () => {
  const first = await photo(1).jpeg().toBuffer();
  const files: Record<string, Buffer> = {
    "train/cat/1.jpg": first,
    "train/cat/2.jpg": await photo(2).jpeg().toBuffer(),
    'train/cat/again, "1".jpg': first,
    "train/cat/cut.jpg": first.subarray(0, 60),
    "train/cat/wide.jpg": await photo(3, 400, 40).jpeg().toBuffer(),
    "train/dog/3.jpg": await photo(4).jpeg().toBuffer(),
    "train/dog/4.jpg": await photo(5).jpeg().toBuffer(),
    "train/dog/smaller-2.png": await photo(2).resize(70, 58, { fit: "fill" }).png().toBuffer(),
    "train/dog/night.jpg": await photo(6).linear(0.1, 0).jpeg().toBuffer(),
    "train/dog/snow.jpg": await plain(252).jpeg().toBuffer(),
    "train/dog/fog.jpg": await photo(7).blur(12).jpeg().toBuffer(),
    "train/dog/in-test.jpg": await photo(8).jpeg().toBuffer(),
    "test/dog/5.jpg": await photo(8).jpeg().toBuffer(),
    "test/cat/6.jpg": await photo(9).jpeg().toBuffer(),
    "train/dog/huge.jpg": await photo(10, 960, 800).jpeg().toBuffer(),
  };
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  found = await inspectFolder(folder);
});

const of = (kind: string): string[] => found.issues.filter((each) => each.kind === kind).map(({ file }) => file);

describe("a folder's issues", () => {
  it("are each of the planted ones, and no other image", () => {
    expect(found.images).toBe(15);
    expect(of("unreadable")).toEqual(["train/cat/cut.jpg"]);
    expect(of("exact copy")).toEqual(['train/cat/again, "1".jpg', "train/dog/in-test.jpg"]);
    expect(of("near copy")).toEqual(["train/dog/smaller-2.png"]);
    expect(of("odd ratio")).toEqual(["train/cat/wide.jpg"]);
    expect(of("dark")).toEqual(["train/dog/night.jpg"]);
    expect(of("bright")).toEqual(["train/dog/snow.jpg"]);
    expect(of("blurred").sort()).toEqual(["train/dog/fog.jpg", "train/dog/snow.jpg"]);
    expect(of("odd size")).toContain("train/dog/huge.jpg");
  });

  it("name the other file of a pair, its split and its class", () => {
    const detail = (file: string) => found.issues.find((each) => each.file === file)!.detail;
    expect(detail("train/dog/in-test.jpg")).toBe("of test/dog/5.jpg, which is in test");
    expect(detail("train/dog/smaller-2.png")).toBe("of train/cat/2.jpg, under another class");
  });

  it("are a list that training takes: damaged files and copies are left out, and it says so", async () => {
    const path = join(temporaryFolder(), "issues.csv");
    writeFileSync(path, issuesCsv(found.issues));
    const rows = csvRows(readFileSync(path, "utf8"), path);
    expect(rows).toHaveLength(1 + found.issues.length);
    await expect(makePart(imageFolder({ path: folder, size: 16 })).load({})).rejects.toThrow(
      "1 of 15 images cannot be read",
    );
    const lines: string[] = [];
    const data = await makePart(imageFolder({ path: folder, size: 16, exclude: path })).load({
      log: (line) => void lines.push(line),
    });
    expect(data.train.length + data.test!.length).toBe(12);
    expect(lines).toContain(`left out by ${path}: 3 images`);
  });

  it("refuse a list without files, a list that is not there, and one that empties a class", async () => {
    const load = (exclude: string) => makePart(imageFolder({ path: folder, size: 16, exclude })).load({});
    await expect(load("/no/list.csv")).rejects.toThrow("does not exist");
    const path = join(temporaryFolder(), "list.csv");
    writeFileSync(path, "name\nx\n");
    await expect(load(path)).rejects.toThrow('expected a column "file", got name');
    writeFileSync(
      path,
      `file\n${["1", "2", "cut", "wide"].map((name) => `train/cat/${name}.jpg`).join("\n")}\n"train/cat/again, ""1"".jpg"\n`,
    );
    await expect(load(path)).rejects.toThrow("leaves no training image of cat");
  });

  it("have a page with an image of each", async () => {
    const page = await dataCheckPage(found, "issues.csv");
    const tiles = page.blocks.flatMap((block) => (block.kind === "images" ? block.items : []));
    expect(tiles.every(({ src }) => src.startsWith("data:image/jpeg;base64,"))).toBe(true);
    const pairs = found.issues.filter(({ other }) => other !== undefined).length;
    expect(tiles).toHaveLength(found.issues.length - 1 + pairs);
  });
});

it("a perceptual hash survives scaling and JPEG, and tells photos apart", async () => {
  const hashOf = async (image: ReturnType<typeof photo>): Promise<string> => {
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    return perceptualHash({ pixels: new Uint8Array(data), height: info.height, width: info.width })
      .map((half) => (half >>> 0).toString(2).padStart(32, "0"))
      .join("");
  };
  const bits = (a: string, b: string): number => [...a].filter((bit, at) => bit !== b[at]).length;
  const original = await hashOf(photo(1));
  expect(
    bits(original, await hashOf(sharp(await photo(1, 60, 50).jpeg({ quality: 60 }).toBuffer()))),
  ).toBeLessThanOrEqual(3);
  for (let seed = 2; seed < 12; seed++) expect(bits(original, await hashOf(photo(seed)))).toBeGreaterThan(12);
});
