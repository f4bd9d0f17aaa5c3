import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { cifar100 } from "../../../core/data/cifar.js";
import { imageFolder } from "../../../core/data/image-folder.js";
import { shapes } from "../../../core/data/shapes.js";
import { formatVerify, verifyData } from "../../../core/data/verify.js";
import { makePart } from "../../../core/parts.js";
import { labelsOf, miniCifar100, recordFile, temporaryFolder } from "../../support/mini-cifar.js";

const root = temporaryFolder();

function save(folder: string, files: Record<string, Buffer>): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, folder, name, ".."), { recursive: true });
    writeFileSync(join(root, folder, name), content);
  }
  return join(root, folder);
}

describe("verifyData", () => {
  it("says of a clean set what it has, in plain JSON", async () => {
    const report = await verifyData(shapes({ classes: 3, size: 16, train: 600, test: 9 }));
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report).toMatchObject({
      source: "shapes",
      classes: ["disc", "square", "triangle"],
      height: 16,
      train: { images: 600, counts: [200, 200, 200], damagedCount: 0, repeatedCount: 0 },
      test: { images: 9, counts: [3, 3, 3] },
      sharedCount: 0,
      clean: true,
    });
    const text = formatVerify(report);
    expect(text).toContain("train  600 images, 200 per class");
    expect(text).toContain("Every image can be read, and every class has some.");
  });

  it("measures mean and deviation of every channel exactly", async () => {
    const source = shapes({ train: 40, test: 1 });
    const { train } = await makePart(source).load({});
    const values: number[][] = [[], [], []];
    for (const { pixels } of await train.read([...Array(40).keys()])) {
      pixels.forEach((value, at) => values[at % 3]!.push(value / 255));
    }
    const { measured } = await verifyData(source);
    values.forEach((channel, at) => {
      const mean = channel.reduce((sum, value) => sum + value, 0) / channel.length;
      const variance = channel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / channel.length;
      expect(measured.mean[at]).toBeCloseTo(mean, 10);
      expect(measured.deviation[at]).toBeCloseTo(Math.sqrt(variance), 10);
    });
  });

  it("finds images that are in both splits, with their labels, and repeats within one", async () => {
    const train = Array.from({ length: 30 }, (_, at) => labelsOf(at));
    const twice = recordFile([labelsOf(3)], 4); // image 4 again, under another label
    const path = save("shared", {
      ...miniCifar100(),
      "train.bin": Buffer.concat([recordFile(train), twice]),
      "test.bin": Buffer.concat([
        recordFile([labelsOf(8)], 8),
        recordFile([labelsOf(1)], 2),
        recordFile([labelsOf(0)], 900),
      ]),
    });
    const report = await verifyData(cifar100({ path }));
    expect(report.shared).toEqual([
      { train: "train.bin#8", test: "test.bin#0", sameLabel: true },
      { train: "train.bin#2", test: "test.bin#1", sameLabel: false },
    ]);
    expect(report.train.repeatedCount).toBe(1);
    expect(report.clean).toBe(false); // since classes are missing: what is shared is only reported
    const text = formatVerify(report);
    expect(text).toContain("2 test images are also in the training split");
    expect(text).toContain("test.bin#1 = train.bin#2, with another label");
    expect(text).toContain("1 repeat an earlier image");
    expect(text).toContain("no image of fine_30, fine_31");
    expect(text).toContain("There are problems");
  });

  it("reads all of an image folder and names every damaged file, not only the first", async () => {
    const png = (value: number) =>
      sharp({ create: { width: 20, height: 20, channels: 3, background: { r: value, g: 0, b: 0 } } })
        .png()
        .toBuffer();
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * at * 31 + at * 7) & 255);
    const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    const half = jpeg.subarray(0, Math.floor(jpeg.length / 2));
    const path = save("folder", {
      "train/a/1.png": await png(1),
      "train/a/2.jpg": half,
      "train/b/1.png": await png(2),
      "train/b/2.jpg": half,
      "test/a/1.png": await png(3),
      "test/b/1.jpg": half,
    });
    const report = await verifyData(imageFolder({ path, size: 16, validateAll: false }));
    expect(report.train.damagedCount).toBe(2);
    expect(report.train.damaged.join()).toMatch(/a\/2\.jpg[^]*b\/2\.jpg/);
    expect(report.test!.damagedCount).toBe(1);
    expect(report.clean).toBe(false);
    expect(report.measured.mean[0]).toBeCloseTo(1.5 / 255, 6);
    expect(formatVerify(report)).toContain("2 cannot be read:");
  });

  it("does without a test split", async () => {
    const { test: _, ...data } = await makePart(shapes({ train: 20 })).load({});
    const report = await verifyData({ name: "mine", options: {}, load: async () => data });
    expect(report.test).toBeUndefined();
    expect(formatVerify(report)).toContain("test   none");
  });

  it("passes on what loading throws, and what is no damage", async () => {
    await expect(verifyData(cifar100({ path: join(root, "nowhere") }))).rejects.toThrow("does not exist");
    const data = await makePart(shapes({ train: 20 })).load({});
    const read = () => Promise.reject(new TypeError("a bug"));
    const load = async () => ({ ...data, train: { ...data.train, read } });
    await expect(verifyData({ name: "mine", options: {}, load })).rejects.toThrow("a bug");
  });
});
