import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import sharp from "sharp";
import { describe, expect, it, vi } from "vitest";
import type { DataSource, Image } from "../../../core/data/dataset.js";
import { openDecoder, reasonsAlone } from "../../../core/data/decode.js";
import { runMarks } from "../../../core/data/folder-scan.js";
import { imageFolder } from "../../../core/data/image-folder.js";
import { TrainerError } from "../../../core/errors.js";
import { type Given, makePart } from "../../../core/parts.js";
import { runFiles } from "../../../run/files.js";
import { lockFile } from "../../../run/lock.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const root = temporaryFolder();
let count = 0;

type Colour = { r: number; g: number; b: number; alpha?: number };
const red: Colour = { r: 220, g: 20, b: 30 };
const blue: Colour = { r: 10, g: 40, b: 200 };

const plain = (colour: Colour, width = 40, height = 30) =>
  sharp({ create: { width, height, channels: colour.alpha === undefined ? 3 : 4, background: colour } });

/** Red on the left or top, blue on the other half. */
async function halves(direction: "left-right" | "top-bottom", width: number, height: number) {
  const half = direction === "left-right" ? { width: width / 2, height } : { width, height: height / 2 };
  const input = await sharp({ create: { ...half, channels: 3, background: blue } })
    .png()
    .toBuffer();
  const gravity = direction === "left-right" ? "east" : "south";
  return sharp(await plain(red, width, height).composite([{ input, gravity }]).png().toBuffer());
}

const png = (colour: Colour) => plain(colour).png().toBuffer();

/** A folder with these files, by path. */
function folderOf(files: Record<string, Buffer>): string {
  const folder = join(root, `set-${count++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

async function failure(source: Given<DataSource>): Promise<TrainerError> {
  const error = await makePart(source)
    .load({})
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  expect(error).toBeInstanceOf(TrainerError);
  expect((error as TrainerError).code).toBe("ERR_DATA");
  return error as TrainerError;
}

/** The image of one file, and what its pixel at (row, column) is near to. */
async function decoded(content: Buffer, name: string, size = 16): Promise<Image> {
  const path = folderOf({ [`a/${name}`]: content, "b/x.png": await png(blue) });
  const data = await makePart(imageFolder({ path, size })).load({});
  const [image] = await data.train.read([0]);
  expect([image!.height, image!.width, image!.pixels.length]).toEqual([size, size, size * size * 3]);
  return image!;
}

function expectNear({ pixels, width }: Image, row: number, column: number, { r, g, b }: Colour, within = 3): void {
  const found = [...pixels.subarray((row * width + column) * 3, (row * width + column) * 3 + 3)];
  [r, g, b].forEach((value, channel) =>
    expect(Math.abs(found[channel]! - value), `${found}`).toBeLessThanOrEqual(within),
  );
}

describe("splits and classes", () => {
  it("takes train/ and test/, classes in the order of their code points", async () => {
    const names = ["zebra", "Ant", "\u{1F600}", "\uFF21", "ant", "b c#%20"];
    const files: Record<string, Buffer> = {};
    for (const name of names) {
      files[`train/${name}/2.PNG`] = await png(red);
      files[`train/${name}/10.png`] = await png(blue);
    }
    files["test/zebra/x.png"] = await png(blue);
    const path = folderOf(files);
    const data = await makePart(imageFolder({ path, size: 8 })).load({});
    // By UTF-16 units the face, whose first unit is D83D, would come before the full-width A, FF21.
    expect(data.classes).toEqual(["Ant", "ant", "b c#%20", "zebra", "\uFF21", "\u{1F600}"]);
    expect([...data.train.labels]).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    expect(data.train.describe(7)).toBe(join(path, "train", "zebra", "2.PNG"));
    expect([...data.test!.labels]).toEqual([3]);
    const [first, second] = await data.train.read([7, 6]);
    expectNear(first!, 4, 4, red);
    expectNear(second!, 4, 4, blue);
    expect(data.mean).toEqual([0.485, 0.456, 0.406]);
    const halves = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.25, 0.5] } as const;
    const own = makePart(imageFolder({ path, size: 8, mean: [...halves.mean], deviation: [...halves.deviation] }));
    expect(await own.load({})).toMatchObject(halves);
    expect(() => makePart(imageFolder({ path, deviation: [0.5, 0, 0.5] }))).toThrow(/"deviation/);
  });

  it.each([
    ["train", "val"],
    ["Train", "Test"],
    ["training", "validation"],
    ["train", "valid"],
    ["TRAIN", "testing"],
  ])("takes %s/ and %s/ for training and test", async (training, other) => {
    const files = Object.fromEntries(
      await Promise.all(
        [training, other].flatMap((split) =>
          ["a", "b"].map(async (name) => [`${split}/${name}/1.png`, await png(red)] as const),
        ),
      ),
    );
    const warn = vi.fn();
    const data = await makePart(imageFolder({ path: folderOf(files), size: 8 })).load({ warn });
    expect([data.train.length, data.test!.length, data.validation]).toEqual([2, 2, undefined]);
    expect(warn).not.toHaveBeenCalled();
  });

  it("takes valid/ beside train/ and test/ for validation: its images follow those of training", async () => {
    const image = await png(red);
    const path = folderOf({
      "train/a/1.png": image,
      "train/b/1.png": image,
      "valid/b/1.png": image,
      "test/a/1.png": image,
    });
    const data = await makePart(imageFolder({ path, size: 8 })).load({});
    expect([...data.train.labels]).toEqual([0, 1, 1]);
    expect([...data.validation!]).toEqual([2]);
    expect(data.train.describe(2)).toBe(join(path, "valid", "b", "1.png"));
    expect(data.test!.length).toBe(1);
  });

  it("refuses two folders of one split, and takes valid/ and invalid/ for classes", async () => {
    const image = await png(red);
    const classes = (split: string) => ({ [`${split}/a/1.png`]: image, [`${split}/b/1.png`]: image });
    const twice = folderOf({ ...classes("train"), ...classes("val"), ...classes("valid") });
    expect((await failure(imageFolder({ path: twice }))).message).toContain(
      "expected one folder of the validation split, got val/ and valid/. Keep one.",
    );
    const path = folderOf({ "valid/1.png": image, "invalid/1.png": image });
    expect((await makePart(imageFolder({ path, size: 8 })).load({})).classes).toEqual(["invalid", "valid"]);
  });

  it("reads folders inside class folders, at any depth, each file in order", async () => {
    const image = await png(red);
    const path = folderOf({
      "a/2.png": image,
      "a/2024-02/1.png": image,
      "a/2024-01/deep/1.png": image,
      "b/2024-01/1.png": image,
    });
    symlinkSync(join(path, "a"), join(path, "a", "2024-01", "around"));
    const warn = vi.fn();
    const { train } = await makePart(imageFolder({ path, size: 8 })).load({ warn });
    expect([0, 1, 2, 3].map((place) => relative(path, train.describe(place)))).toEqual([
      "a/2.png",
      "a/2024-01/deep/1.png",
      "a/2024-02/1.png",
      "b/2024-01/1.png",
    ]);
    expect([...train.labels]).toEqual([0, 0, 0, 1]);
    expect(warn.mock.calls.flat()).toEqual([
      expect.stringContaining("1 links to a folder around them (a/2024-01/around)"),
    ]);
  });

  it("takes class folders alone for a training set without a test split, links to folders too", async () => {
    const path = folderOf({
      "a/1.png": await png(red),
      "b/1.png": await png(red),
      "elsewhere/c/1.png": await png(red),
    });
    symlinkSync(join(path, "a"), join(path, "linked"));
    writeFileSync(join(path, "elsewhere", "x.png"), await png(red));
    const data = await makePart(imageFolder({ path, size: 8 })).load({});
    expect(data.classes).toEqual(["a", "b", "elsewhere", "linked"]);
    expect(data.test).toBeUndefined();
  });

  it("gives one account of everything that is not used, and of hidden files apart", async () => {
    const image = await png(red);
    const text = Buffer.from("x");
    const path = folderOf({
      "train/a/1.png": image,
      "train/a/notes.txt": text,
      "train/a/0.bmp": text,
      "train/a/1.BMP": text,
      "train/a/deep/2.bmp": text,
      "train/a/deep/3.bmp": text,
      "train/a/LICENSE": text,
      "train/a/.DS_Store": text,
      "train/a/Thumbs.db": text,
      "train/b/1.png": image,
      "train/stray.png": image,
      "test/1.png": image,
      "unlabelled/1.png": image,
      "labels.csv": text,
      ".git/x.png": text,
    });
    const warn = vi.fn();
    const log = vi.fn();
    const data = await makePart(imageFolder({ path, size: 8 })).load({ log, warn });
    expect(data.classes).toEqual(["a", "b"]);
    expect([data.train.length, data.test]).toEqual([2, undefined]);
    expect(warn.mock.calls).toHaveLength(1);
    const [[account]] = warn.mock.calls as [[string]];
    for (const part of [
      `Not used below ${path}: `,
      "4 .bmp files (train/a/0.bmp, train/a/1.BMP, train/a/deep/2.bmp, …)",
      "1 .txt files (train/a/notes.txt)",
      "1 unnamed files (train/a/LICENSE)",
      "3 files outside of class folders (labels.csv, train/stray.png, test/1.png)",
      "1 folders beside the splits (unlabelled)",
      "1 splits without a class folder (test)",
    ]) {
      expect(account).toContain(part);
    }
    expect(account).not.toContain("Thumbs.db");
    expect(log.mock.calls).toEqual([
      [`${path}: train/ for training`],
      [`Not used below ${path}: 3 hidden or system entries (.git, train/a/.DS_Store, train/a/Thumbs.db).`],
    ]);
  });

  it("never takes a run for a class, nor its images for those of a class", async () => {
    const image = await png(red);
    for (const mark of runMarks) {
      const path = folderOf({
        "a/1.png": image,
        "b/1.png": image,
        [`runs/tiny-1/${mark}`]: Buffer.from("{}"),
        "runs/tiny-1/report/1.png": image,
        [`b/mine/${mark}`]: Buffer.from("{}"),
        "b/mine/report/1.png": image,
        [`own/${mark}`]: Buffer.from("{}"),
      });
      const warn = vi.fn();
      const data = await makePart(imageFolder({ path, size: 8 })).load({ warn });
      expect(data.classes).toEqual(["a", "b"]);
      expect(data.train.length).toBe(2);
      expect(warn.mock.calls.flat()).toEqual([expect.stringContaining("3 folders of runs (b/mine, own, runs/tiny-1)")]);
    }
    expect(runMarks).toEqual([lockFile, runFiles.config]);
  });

  it("never opens a pipe", async () => {
    const image = await png(red);
    const path = folderOf({ "a/1.png": image, "b/1.png": image });
    spawnSync("mkfifo", [join(path, "a", "2.png")]);
    const warn = vi.fn();
    expect((await makePart(imageFolder({ path, size: 8 })).load({ warn })).train.length).toBe(2);
    expect(warn.mock.calls.flat()).toEqual([expect.stringContaining("1 entries that are no files (a/2.png)")]);
  });

  it("says how to convert photos of an iPhone", async () => {
    const [image, heic] = [await png(red), Buffer.from("\0\0\0\x18ftypheic\0\0\0\0")];
    const warn = vi.fn();
    const path = folderOf({ "a/1.png": image, "b/1.png": image, "b/2.HEIC": heic });
    await makePart(imageFolder({ path, size: 8 })).load({ warn });
    expect(warn.mock.calls.flat().join()).toMatch(
      /1 \.heic files \(b\/2\.HEIC\)\. HEIC photos are not read: convert them to JPEG/,
    );
    const none = await failure(imageFolder({ path: folderOf({ "a/1.HEIC": heic, "b/1.HEIC": heic }), size: 8 }));
    expect(none.message).toMatch(/got none in a, b\. HEIC photos are not read: convert them to JPEG/);
  });

  it("refuses empty classes, one class, unknown test classes and test/ alone, each by name", async () => {
    const image = await png(red);
    const failureOf = (files: Record<string, Buffer>) => failure(imageFolder({ path: folderOf(files), size: 8 }));
    const text = Buffer.from("x");
    const empty = await failureOf({ "a/1.png": image, "hollow/1.txt": text, "void/1.txt": text });
    expect(empty.message).toContain("in every class folder, got none in hollow, void. Fill or remove them");
    expect((await failureOf({ "train/only/1.png": image })).message).toContain("only the class folder only");
    expect((await failureOf({ "x.png": image, "y.jpg": image, "z.txt": text })).message).toMatch(
      /no class folder\. 2 images lie directly in it: put each class into a folder of its own\.$/,
    );
    expect((await failureOf({ "img/1.png": image, "labels.csv": text })).message).toMatch(
      /only the class folder img\. If labels\.csv has their labels, give \S+labels\.csv\.$/,
    );
    const train = { "train/a/1.png": image, "train/b/1.png": image };
    const more = await failureOf({ ...train, "test/a/1.png": image, "test/c/1.png": image });
    expect(more.message).toContain("expected classes of train/, got c as well");
    expect((await failureOf({ "val/a/1.png": image, "val/b/1.png": image })).message).toContain("got no train/");
    const nested = await failureOf({ "twice/a/1.png": image, "twice/b/1.png": image });
    expect(nested.message).toMatch(/only the class folder twice\. If a, b are the classes, give .*twice\.$/);
  });

  it("says which path is missing or no folder", async () => {
    const path = folderOf({ file: Buffer.from("x") });
    expect((await failure(imageFolder({ path: join(path, "nowhere") }))).message).toContain("nowhere does not exist");
    expect((await failure(imageFolder({ path: join(path, "file") }))).message).toContain("file is not a folder");
  });
});

describe("decoding", () => {
  it("scales the shorter side and cuts the centre out", async () => {
    const wide = await decoded(await (await halves("left-right", 200, 40)).png().toBuffer(), "x.png", 20);
    expectNear(wide, 10, 0, red);
    expectNear(wide, 10, 8, red);
    expectNear(wide, 10, 11, blue);
    expectNear(wide, 10, 19, blue);
    const tall = await decoded(await (await halves("top-bottom", 10, 100)).png().toBuffer(), "x.png", 20);
    expectNear(tall, 0, 10, red);
    expectNear(tall, 19, 10, blue);
  });

  it.each([
    ["jpg", "jpeg"],
    ["jpeg", "jpeg"],
    ["jfif", "jpeg"],
    ["png", "png"],
    ["webp", "webp"],
    ["gif", "gif"],
    ["tif", "tiff"],
    ["TIFF", "tiff"],
    ["avif", "avif"],
    ["jpg", "webp"],
    ["jpg", "avif"],
    ["jpg", "tiff"],
    ["png", "gif"],
  ] as const)("reads .%s that holds %s", async (extension, format) => {
    const content = await plain(red).toFormat(format, { quality: 95 }).toBuffer();
    expectNear(await decoded(content, `x.${extension}`), 8, 8, red, 8);
  });

  it.each([
    [
      "an SVG drawing",
      '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>',
    ],
    ["an SVG drawing", '<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ["a web page", "<!DOCTYPE html><html><body>404 Not Found</body></html>"],
    ["a Git LFS pointer: run git lfs pull", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"],
    ["a BMP image", "BM\0\0\0\0"],
    ["a PDF or PostScript document", "%PDF-1.7"],
    ["a HEIC image: convert it to JPEG", "\0\0\0\x18ftypheic\0\0\0\0"],
    ["empty", ""],
    ['of an unknown kind (it begins with "P3 1 1 255 1")', "P3 1 1 255 1 2 3\n"],
  ])("says of a file that is no image that it is %s", async (kind, content) => {
    const path = folderOf({
      "a/x.png": Buffer.from(content, "latin1"),
      "a/1.png": await png(red),
      "b/1.png": await png(red),
    });
    const { message } = await failure(imageFolder({ path, size: 8 }));
    expect(message).toContain(`x.png: expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got ${kind}`);
  });

  it("has no way to a vector image: the library itself refuses it", async () => {
    const folder = folderOf({ "x.png": Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>') });
    const decoder = await openDecoder();
    await expect(decoder.decode(join(folder, "x.png"), 8)).rejects.toThrow("unsupported image format");
    await expect(decoder.readHeader(join(folder, "x.png"))).rejects.toThrow("unsupported image format");
  });

  it("refuses an image of more pixels than the limit", async () => {
    const path = folderOf({ "a/1.png": await png(red), "b/1.png": await plain(red, 41, 30).png().toBuffer() });
    await makePart(imageFolder({ path, size: 8, maxPixels: 41 * 30 })).load({});
    const { message } = await failure(imageFolder({ path, size: 8, maxPixels: 40 * 30 }));
    expect(message).toContain("1 of 2 images");
    expect(message).toContain(
      `${join(path, "b", "1.png")}: it has 41 × 30 = 1,230 pixels, more than the limit maxPixels = 1,200`,
    );
    expect(message).toContain("--set data.maxPixels=");
  });

  it("gives the library the seconds that one image may take", async () => {
    const path = folderOf({ "a/1.png": await png(red), "b/1.png": await png(red) });
    const timeout = vi.spyOn(sharp.prototype, "timeout");
    await makePart(imageFolder({ path, size: 8 })).load({});
    await makePart(imageFolder({ path, size: 8, maxSeconds: 7 })).load({});
    expect(timeout.mock.calls).toEqual([30, 30, 7, 7].map((seconds) => [{ seconds }]));
    timeout.mockRestore();
  });

  it("honours the rotation in EXIF", async () => {
    const image = await halves("left-right", 40, 40);
    const content = await image.jpeg({ quality: 95 }).withMetadata({ orientation: 6 }).toBuffer();
    const upright = await decoded(content, "x.jpg"); // a quarter turn clockwise: left comes to the top
    expectNear(upright, 1, 8, red, 8);
    expectNear(upright, 14, 8, blue, 8);
  });

  it("makes RGB of grey, of grey with 16 bits, and of colour with 16 bits", async () => {
    const grey = { r: 100, g: 100, b: 100 };
    const eight = await plain(grey).toColourspace("b-w").png().toBuffer();
    expect((await sharp(eight).metadata()).channels).toBe(1);
    expectNear(await decoded(eight, "x.png"), 8, 8, grey);

    const deep = new Uint16Array(30 * 30).fill(100 * 257);
    const raw = { width: 30, height: 30, channels: 1 as const };
    const sixteen = await sharp(deep, { raw }).toColourspace("grey16").png().toBuffer();
    expect((await sharp(sixteen).metadata()).depth).toBe("ushort");
    expectNear(await decoded(sixteen, "x.png"), 8, 8, grey);

    const colours = Uint16Array.from({ length: 30 * 30 * 3 }, (_, at) => [220, 20, 30][at % 3]! * 257);
    const rgb = await sharp(colours, { raw: { ...raw, channels: 3 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect((await sharp(rgb).metadata()).depth).toBe("ushort");
    expectNear(await decoded(rgb, "x.png"), 8, 8, red);
  });

  it("makes RGB of CMYK", async () => {
    const cmyk = await plain({ r: 255, g: 255, b: 255 }).toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(cmyk).metadata()).space).toBe("cmyk");
    expectNear(await decoded(cmyk, "x.jpg"), 8, 8, { r: 255, g: 255, b: 255 }, 8);
  });

  it("lays transparency on white", async () => {
    const clear = await plain({ r: 0, g: 0, b: 0, alpha: 0 }).png().toBuffer();
    expectNear(await decoded(clear, "x.png"), 8, 8, { r: 255, g: 255, b: 255 });
    const half = await plain({ r: 0, g: 0, b: 0, alpha: 0.5 }).png().toBuffer();
    expectNear(await decoded(half, "x.png"), 8, 8, { r: 128, g: 128, b: 128 });
  });

  it("enlarges what is smaller, and takes the first frame of an animation", async () => {
    expectNear(await decoded(await plain(red, 1, 1).png().toBuffer(), "x.png", 32), 31, 31, red);
    const frames = Buffer.concat([await plain(red, 8, 8).raw().toBuffer(), await plain(blue, 8, 8).raw().toBuffer()]);
    const animation = await sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } })
      .webp({ lossless: true })
      .toBuffer();
    expect((await sharp(animation).metadata()).pages).toBe(2);
    expectNear(await decoded(animation, "x.webp", 8), 4, 4, red);
  });

  it("gives fresh pixels with every read", async () => {
    const path = folderOf({ "a/1.png": await png(red), "b/1.png": await png(blue) });
    const { train } = await makePart(imageFolder({ path, size: 8 })).load({});
    (await train.read([0]))[0]!.pixels.fill(0);
    expectNear((await train.read([0]))[0]!, 4, 4, red);
  });
});

describe("reading", () => {
  it("hands every file to libuv before it returns: decoding goes on while this thread is busy", async () => {
    const image = await png(red);
    const names = Array.from({ length: 12 }, (_, at) => `${at % 2 ? "a" : "b"}/${at}.png`);
    const path = folderOf(Object.fromEntries(names.map((name) => [name, image])));
    const { train } = await makePart(imageFolder({ path, size: 8 })).load({});
    const reading = train.read([...names.keys()]);
    const { queue, process } = sharp.counters();
    expect(queue + process).toBe(12);
    await reading;
  });
});

describe("damage", () => {
  /** An image that does not compress to nothing. */
  const noise = (seed: number) => {
    const pixels = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * at * (seed + 3) + at * 7) & 255);
    return sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } });
  };

  it("is found in all headers at once, at most 20 by name", async () => {
    const good = await png(red);
    const files: Record<string, Buffer> = {
      "a/good.png": good,
      "b/good.png": good,
      "b/empty.jpg": Buffer.alloc(0),
    };
    for (let at = 0; at < 24; at++) files[`a/bad-${String(at).padStart(2, "0")}.png`] = Buffer.from("not an image");
    const { message } = await failure(imageFolder({ path: folderOf(files), size: 8 }));
    expect(message).toContain("25 of 27 images cannot be read");
    expect(message).toContain("bad-00.png: ");
    expect(message).toContain("bad-19.png: ");
    expect(message).not.toContain("bad-20.png");
    expect(message).toContain("… and 5 more");
  });

  it("is read again, one file at a time, for a reason of its own", async () => {
    let reading = 0;
    const read = async (file: string): Promise<void> => {
      expect(++reading).toBe(1);
      await new Promise((done) => setTimeout(done, 5));
      reading--;
      if (file !== "fine now") throw new Error(`${file}\n  is bad`);
    };
    const damaged = ["slow", "fine now", "fast"].map((file, place) => ({ file, place, problem: "a mix of both" }));
    expect(await reasonsAlone(damaged, read)).toEqual([
      { file: "slow", place: 0, problem: "slow is bad" },
      { file: "fine now", place: 1, problem: "a mix of both" },
      { file: "fast", place: 2, problem: "fast is bad" },
    ]);
  });

  it("is found for a link to nothing", async () => {
    const path = folderOf({ "a/1.png": await png(red), "b/1.png": await png(red) });
    symlinkSync(join(path, "gone"), join(path, "a", "2.png"));
    expect((await failure(imageFolder({ path, size: 8 }))).message).toMatch(/1 of 3 .*\n.*2\.png: ENOENT/);
  });

  const cutInHalf = (content: Buffer): Buffer => content.subarray(0, Math.floor(content.length / 2));
  const overwritten = (content: Buffer): Buffer => {
    const middle = Math.floor(content.length / 2);
    return Buffer.from(content).fill(0, middle, middle + 100);
  };
  it.each([
    ["jpg", cutInHalf],
    ["png", overwritten],
  ] as const)("in the body of a .%s is an error that names it when it is read", async (extension, damage) => {
    const content = await noise(1)
      .toFormat(extension as "jpeg", { quality: 90 })
      .toBuffer();
    const image = await png(red);
    const path = folderOf({
      [`a/bad.${extension}`]: damage(content),
      "a/whole.png": image,
      "b/1.png": image,
    });
    const data = await makePart(imageFolder({ path, size: 16, validateAll: false })).load({});
    const error = await Promise.resolve(data.train.read([1, 0, 2])).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(TrainerError);
    expect((error as TrainerError).code).toBe("ERR_DATA");
    expect((error as TrainerError).message).toContain("1 of 3 images cannot be read");
    expect((error as TrainerError).message).toContain(
      `${join(path, "a", `bad.${extension}`)} (image 0 of its split): `,
    );
    expectNear((await data.train.read([1]))[0]!, 8, 8, red);
    const found = await failure(imageFolder({ path, size: 16 }));
    expect(found.message).toMatch(/1 of 3 .*\n.*bad\./);
  });

  it("is found while loading where a format's header covers the whole file", async () => {
    const files = { "a/cut.webp": cutInHalf(await noise(1).webp().toBuffer()), "b/1.png": await png(red) };
    const { message } = await failure(imageFolder({ path: folderOf(files), size: 16, validateAll: false }));
    expect(message).toMatch(/cut\.webp: Input file has corrupt header: \w+/);
  });

  it("is found when a file is deleted after loading", async () => {
    const path = folderOf({ "a/1.png": await png(red), "b/1.png": await png(red) });
    const data = await makePart(imageFolder({ path, size: 8 })).load({});
    truncateSync(join(path, "b", "1.png"), 0);
    await expect(data.train.read([0, 1])).rejects.toThrow(join(path, "b", "1.png"));
  });
});

describe("identity and options", () => {
  it("has a fingerprint of names and contents, not of the place", async () => {
    const files = { "a/1.png": await png(red), "b/1.png": await png(blue) };
    const print = async (path: string) => (await makePart(imageFolder({ path, size: 8 })).load({})).fingerprint;
    const path = folderOf(files);
    expect(await print(folderOf(files))).toBe(await print(path));
    writeFileSync(join(path, "b", "2.png"), files["a/1.png"]);
    expect(await print(path)).not.toBe(await print(folderOf(files)));
    const longer = Buffer.concat([await readFile(join(path, "a", "1.png")), Buffer.from([0])]);
    expect(await print(folderOf({ ...files, "a/1.png": longer }))).not.toBe(await print(folderOf(files)));
    const exchanged = { "a/1.png": files["b/1.png"], "b/1.png": files["a/1.png"] };
    expect(await print(folderOf(exchanged))).not.toBe(await print(folderOf(files)));
    const renamed = { "a/2.png": files["a/1.png"], "b/1.png": files["b/1.png"] };
    expect(await print(folderOf(renamed))).not.toBe(await print(folderOf(files)));
  });

  it("fills in the size, records an absolute path, and refuses what it does not know", () => {
    expect(makePart(imageFolder({ path: "/somewhere" })).options).toEqual({
      path: "/somewhere",
      size: 224,
      crop: 1,
      interpolation: "bilinear",
      colorProfiles: false,
      cache: 512,
      mean: [0.485, 0.456, 0.406],
      deviation: [0.229, 0.224, 0.225],
      validateAll: true,
      maxPixels: 100_000_000,
      maxSeconds: 30,
    });
    expect(makePart(imageFolder({ path: "here" })).options.path).toBe(join(process.cwd(), "here"));
    for (const bad of [{}, { path: "x", size: 0 }, { path: "x", size: 22.5 }, { path: "x", sise: 8 }]) {
      expect(() => makePart(imageFolder(bad as never))).toThrow(TrainerError);
    }
  });
});

describe("regions of files", () => {
  /** Noise that JPEG keeps: blocks of 8 × 8. */
  const blocks = (width: number, height: number) =>
    sharp(
      Uint8Array.from(
        { length: Math.ceil(width / 8) * Math.ceil(height / 8) * 3 },
        (_, at) => ((at + 3) * 2654435761) >>> 24,
      ),
      { raw: { width: Math.ceil(width / 8), height: Math.ceil(height / 8), channels: 3 } },
    ).resize(width, height, { kernel: "nearest", fit: "fill" });
  const files = async () => ({
    "a/1.jpg": await blocks(160, 120).jpeg().toBuffer(),
    "a/2.png": await blocks(64, 96).png().toBuffer(),
    "b/1.jpg": await blocks(120, 160).jpeg().withMetadata({ orientation: 6 }).toBuffer(),
    "b/2.png": await blocks(64, 96).greyscale().png().toBuffer(),
  });
  const load = async (path: string, options: object = {}) =>
    (await makePart(imageFolder({ path, size: 32, ...options })).load({})).train;
  const region = { top: 40, left: 8, height: 48, width: 40 };

  it("are cut from the stored image as it stands upright, and scaled", async () => {
    const train = await load(folderOf(await files()), { cache: 0 });
    const sizes: object[] = [];
    const found = await train.readRegions!([0, 1, 2, 3], (_, stored) => {
      sizes.push([stored.width, stored.height]);
      return region;
    });
    expect(sizes).toEqual([
      [160, 120],
      [64, 96],
      [160, 120],
      [64, 96],
    ]);
    for (const [at, image] of found.entries()) {
      const upright = await sharp(
        await sharp(train.describe(at)).autoOrient().toColourspace("srgb").removeAlpha().png().toBuffer(),
      )
        .extract(region)
        .resize(32, 32, { fit: "fill", kernel: "linear" })
        .raw()
        .toBuffer();
      const pixels =
        upright.length === image.pixels.length ? upright : Buffer.from([...upright].flatMap((v) => [v, v, v]));
      // libvips rounds the places of its weights to 1/64 of a pixel: at hard edges that is up to three grey levels.
      const worst = image.pixels.reduce((most, value, byte) => Math.max(most, Math.abs(value - pixels[byte]!)), 0);
      expect(worst).toBeLessThanOrEqual(3);
    }
  });

  it("have the same bytes from memory as from the file, and belong to the caller", async () => {
    const path = folderOf(await files());
    const [kept, decoded] = [await load(path), await load(path, { cache: 0 })];
    for (let time = 0; time < 2; time++) {
      for (const read of [
        (train: typeof kept) => train.readRegions!([3, 0, 2, 1], () => region),
        (train: typeof kept) => train.read([3, 0, 2, 1]),
      ]) {
        const [first, second] = [await read(kept), await read(decoded)];
        expect(first).toEqual(second);
        for (const { pixels } of first) pixels.fill(0);
      }
    }
  });

  it("of many pixels are near those of the whole image, though a JPEG is decoded smaller", async () => {
    const path = folderOf({
      "a/1.jpg": await blocks(640, 480).blur(9).jpeg({ quality: 95 }).toBuffer(),
      "b/1.png": await png(red),
    });
    const train = await load(path);
    const large = { top: 33, left: 101, height: 421, width: 500 };
    const [image] = await train.readRegions!([0], () => large);
    const whole = await sharp(train.describe(0)).raw().toBuffer();
    const expected = await sharp(whole, { raw: { width: 640, height: 480, channels: 3 } })
      .extract(large)
      .resize(32, 32, { fit: "fill", kernel: "linear" })
      .raw()
      .toBuffer();
    const differences = image!.pixels.map((value, at) => Math.abs(value - expected[at]!));
    expect(differences.reduce((sum, each) => sum + each, 0) / differences.length).toBeLessThan(2);
  });
});

describe("how files are decoded", () => {
  it("takes the centre's share as timm does: scaled to floor(size / crop), then cut", async () => {
    const path = folderOf({
      "a/1.png": await (await halves("left-right", 80, 60)).png().toBuffer(),
      "b/1.png": await png(red),
    });
    const { train, decoding } = await makePart(imageFolder({ path, size: 28, crop: 0.875 })).load({});
    expect(decoding).toEqual({ crop: 0.875, interpolation: "bilinear", colorProfiles: false });
    const decoder = await openDecoder();
    const { pixels } = await decoder.decode(train.describe(0), 32);
    const [image] = await train.read([0]);
    for (let y = 0; y < 28; y++) {
      const expected = pixels.subarray(((y + 2) * 32 + 2) * 3, ((y + 2) * 32 + 30) * 3);
      expect(image!.pixels.subarray(y * 84, (y + 1) * 84)).toEqual(expected);
    }
  });

  it("ignores a colour profile unless it is asked to convert it", async () => {
    const file = await plain({ r: 200, g: 60, b: 60 }).withIccProfile("p3").jpeg().toBuffer();
    const stored = (await sharp(file, { ignoreIcc: true }).raw().toBuffer()).subarray(0, 3);
    const path = folderOf({ "a/1.jpg": file, "b/1.png": await png(red) });
    const first = async (colorProfiles: boolean) => [
      ...(await (await load(path, { colorProfiles })).read([0]))[0]!.pixels.subarray(0, 3),
    ];
    expect(await first(false)).toEqual([...stored]);
    expect(await first(true)).not.toEqual([...stored]);
  });

  const load = async (path: string, options: object) =>
    (await makePart(imageFolder({ path, size: 16, ...options })).load({})).train;
});
