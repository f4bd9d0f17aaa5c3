/** `trainer data preview` draws the plugins' effect, and the same each time. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { asImage } from "../../core/data/normalise.js";
import { sheet } from "../../core/image/sheet.js";
import { trainer, workplace } from "../support/run-cli.js";

const { inside } = workplace();
const small = ["--preset", "quickstart", "--limit-train", "40", "--limit-test", "10"];
const draw = (file: string, ...more: string[]) =>
  trainer("data", "preview", ...small, "--images", "3", "--variants", "2", "--out", file, "--quiet", ...more);

describe("data preview", () => {
  it("draws originals and variants, the same bits for a seed and others for another", async () => {
    expect(await draw("a/one.png")).toMatchObject({
      code: 0,
      stdout: `rows 1 to 3: random-crop-flip\nno image changed by: label-smoothing\n${join(inside, "a/one.png")}\n`,
    });
    await draw("two.png");
    await draw("three.png", "--seed", "7");
    const [one, two, three] = ["a/one.png", "two.png", "three.png"].map((file) => readFileSync(join(inside, file)));
    expect(one!.equals(two!)).toBe(true);
    expect(one!.equals(three!)).toBe(false);
    const { width, height } = await sharp(one).metadata();
    expect([width, height], "3 columns and 3 rows of 32 pixels, 2 apart, doubled, below a heading").toEqual([208, 238]);
    const cell = (column: number) =>
      sharp(one)
        .extract({ left: 4 + 68 * column, top: 34, width: 64, height: 64 })
        .raw()
        .toBuffer();
    expect((await cell(0)).equals(await cell(1)), "a variant is no copy").toBe(false);
    expect((await cell(1)).equals(await cell(2)), "nor of the other variant").toBe(false);
  });

  it("prints its blocks as JSON", async () => {
    const { stdout } = await draw("json.png", "--json");
    expect(JSON.parse(stdout)).toEqual({
      file: join(inside, "json.png"),
      images: 3,
      variants: 2,
      blocks: [["random-crop-flip"]],
      unchanged: ["label-smoothing"],
    });
  });

  it("gives each warning once, however many blocks it draws", async () => {
    const { code, stderr } = await draw("warned.png", "--limit-train", "12", "--with", "color-jitter");
    expect(code).toBe(0);
    const warnings = stderr.trimEnd().split("\n");
    expect(warnings).toContainEqual(expect.stringMatching(/^warning: No validation image for 9 of 10 classes/));
    expect(warnings).toEqual([...new Set(warnings)]);
  });

  it("draws images of a folder, below headings too", async () => {
    for (const name of ["cat", "dog"]) {
      mkdirSync(join(inside, "photos", name), { recursive: true });
      for (const at of [0, 1, 2, 3]) {
        const pixels = Uint8Array.from({ length: 3 * 16 * 16 }, (_, place) => (place * (7 + at)) % 256);
        const image = sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } });
        await image.png().toFile(join(inside, "photos", name, `${at}.png`));
      }
    }
    const options = ["--preset", "from-scratch", "--data", "photos", "--images", "2", "--variants", "1", "--quiet"];
    const { code, stdout } = await trainer("data", "preview", ...options, "--out", "photos.png");
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(join(inside, "photos.png")) });
    const heading = sharp(join(inside, "photos.png")).extract({ left: 0, top: 0, width: 100, height: 30 });
    const { channels } = await heading.stats();
    expect(channels[0]!.min, "letters").toBeLessThan(100);
  });

  it("overwrites nothing, and refuses runs without augmentation", async () => {
    await draw("kept.png");
    const before = readFileSync(join(inside, "kept.png"));
    const again = await draw("kept.png", "--seed", "9");
    expect(again.code).not.toBe(0);
    expect(again.stderr).toContain("kept.png already exists");
    expect(readFileSync(join(inside, "kept.png")).equals(before)).toBe(true);
    writeFileSync(join(inside, "file.txt"), "");
    const beneath = await draw("file.txt/x.png");
    expect(beneath).toMatchObject({ code: 73, stdout: "" });
    expect(beneath.stderr).toMatch(/file\.txt\/x\.png cannot be written: .*Choose another path with --out\.\n$/);
    const nothing = await draw("none.png", "--without", "random-crop-flip");
    expect(nothing.code).toBe(2);
    expect(nothing.stderr).toContain("No plugin of this config changes these images");
    expect(existsSync(join(inside, "none.png"))).toBe(false);
  });
});

describe("images", () => {
  it("come back from normalised values to their bytes, and stay in range", () => {
    const of = { height: 1, width: 2, mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.25, 0.5] } as const;
    const bytes = [0, 17, 255, 128, 90, 3];
    const normal = Float32Array.from(bytes, (value, at) => (value / 255 - of.mean[at % 3]!) / of.deviation[at % 3]!);
    expect([...asImage(normal, of).pixels]).toEqual(bytes);
    expect([...asImage(Float32Array.of(9, -9, 9, -9, 9, -9), of).pixels]).toEqual([255, 0, 255, 0, 255, 0]);
  });

  it("stand in rows and columns on white", async () => {
    const dot = (value: number) => ({ pixels: Uint8Array.of(value, value, value), height: 1, width: 1 });
    const png = await sheet(
      [
        {
          rows: [
            [dot(1), dot(2)],
            [dot(3), dot(4)],
          ],
        },
      ],
      { gap: 1, side: 1 },
    );
    const grey = [...(await sharp(png).raw().toBuffer())].filter((_, at) => at % 3 === 0);
    const w = 255;
    expect(grey).toEqual(
      [
        [w, w, w, w, w],
        [w, 1, w, 2, w],
        [w, w, w, w, w],
        [w, 3, w, 4, w],
        [w, w, w, w, w],
      ].flat(),
    );
  });

  it("stand in blocks, each below its own heading, whatever that is called", async () => {
    const grey = { pixels: new Uint8Array(3 * 60 * 200).fill(128), height: 60, width: 200 };
    const heights = async (headings: (string | undefined)[]): Promise<number[]> => {
      const png = await sheet(
        headings.map((heading) => ({ heading, rows: [[grey]] })),
        { side: 60 },
      );
      const { data, info } = await sharp(png).greyscale().raw().toBuffer({ resolveWithObject: true });
      expect(info.width).toBeGreaterThanOrEqual(204);
      const dark = (y: number): boolean =>
        data.subarray(y * info.width, (y + 1) * info.width).some((value) => value < 100);
      return [info.height, Array.from({ length: info.height }, (_, y) => y).filter(dark).length];
    };
    expect(await heights([undefined])).toEqual([64, 0]);
    const [height, written] = await heights(["mixup", "a <b> & \x1b\u0000"]);
    expect(height).toBe(2 * (30 + 64));
    expect(written, "rows with letters").toBeGreaterThan(10);
  });
});
