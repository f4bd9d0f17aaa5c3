import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { csvRows } from "../../../core/data/csv.js";
import { imageFolder } from "../../../core/data/image-folder.js";
import { makePart } from "../../../core/parts.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const folder = temporaryFolder();
const names = ["a/1.png", "a/2.png", "b, c/3.png", "4.png", "5.png", "6.PNG", "no-ending"];

beforeAll(async () => {
  for (const [at, name] of names.entries()) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const background = { r: 30 * at, g: 0, b: 200 };
    const image = await sharp({ create: { width: 20, height: 16, channels: 3, background } })
      .png()
      .toBuffer();
    writeFileSync(join(folder, name), image);
  }
});

let count = 0;
function listOf(...lines: string[]): string {
  const path = join(folder, `labels-${count++}.csv`);
  writeFileSync(path, lines.join("\n"));
  return path;
}
const load = (path: string, options: object = {}) => makePart(imageFolder({ path, size: 16, ...options })).load({});
const problem = async (...lines: string[]): Promise<string> => {
  const path = listOf(...lines);
  const error: unknown = await load(path).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "ERR_DATA" });
  return (error as Error).message.replaceAll(path, "FILE").replaceAll(folder, "FOLDER");
};

describe("a CSV of paths and labels", () => {
  it("is a data set: labels by code points, images by path, any ending", async () => {
    const data = await load(listOf("label,path", "dog,no-ending", 'cat,"b, c/3.png"', "dog,a/1.png", "cat,./a/2.png"));
    expect(data.classes).toEqual(["cat", "dog"]);
    expect([...data.train.labels]).toEqual([0, 0, 1, 1]);
    expect([0, 1, 2, 3].map((at) => data.train.file!(at).name)).toEqual([
      "a/2.png",
      "b, c/3.png",
      "a/1.png",
      "no-ending",
    ]);
    const [image] = await data.train.read([3]);
    expect(image!.pixels[0]).toBe(180);
    expect(data.test).toBeUndefined();
  });

  it("has splits, in the spellings that folders have", async () => {
    const rows = ["4.png,x,train", "5.png,y,Training", "6.PNG,x,valid", "no-ending,y,test"];
    const data = await load(listOf("path,label,split", ...rows));
    expect([data.train.length, data.test!.length]).toEqual([3, 1]);
    expect([...data.validation!]).toEqual([2]);
    // As with folders: without test images, the validation images are the test split.
    const two = await load(listOf("path,label,split", ...rows.slice(0, 3)));
    expect([two.train.length, two.test!.length, two.validation]).toEqual([2, 1, undefined]);
  });

  it("takes a list of images to leave out", async () => {
    const exclude = join(folder, "exclude.csv");
    writeFileSync(exclude, "file\na/1.png\n");
    const path = listOf("path,label", "a/1.png,x", "a/2.png,x", "4.png,y");
    expect((await load(path, { exclude })).train.length).toBe(2);
  });

  it("has another fingerprint for another label or split, and the same for another order of lines", async () => {
    const rows = ["4.png,x,train", "5.png,y,train", "6.PNG,y,train", "no-ending,x,train"];
    const of = async (...lines: string[]): Promise<string> =>
      (await load(listOf("path,label,split", ...lines))).fingerprint;
    const first = await of(...rows);
    expect(await of(...[...rows].reverse())).toBe(first);
    expect(await of("4.png,x,train", "5.png,y,train", "6.PNG,x,train", "no-ending,x,train")).not.toBe(first);
    expect(await of(...rows.slice(0, 3), "no-ending,x,test")).not.toBe(first);
    // Names and contents in the same order, other classes.
    expect(await of("4.png,x,train", "5.png,x,train", "6.PNG,y,train", "no-ending,y,train")).not.toBe(
      await of("4.png,x,train", "5.png,y,train", "6.PNG,y,train", "no-ending,y,train"),
    );
  });

  it("names every mistake with its line in one error", async () => {
    const found = await problem(
      "path,label,split",
      "4.png,x,train",
      "5.png,y,train",
      "",
      "gone.png,x,train",
      "./4.png,y,train",
      "../outside.png,x,train",
      "a,x,train",
      "6.PNG,,train",
      ",x,train",
      "6.PNG,x,later",
      "6.PNG,x",
      "a/1.png,z,test",
      '"a/2.png","x\n",train,more',
      "no-ending,x,",
    );
    expect(found.split("\n")).toEqual([
      "FILE: 11 lines are wrong. Correct or remove:",
      "  line 5: gone.png does not exist",
      "  line 6: 4.png is in line 2 already",
      "  line 7: ../outside.png is outside of FOLDER, the folder of this file",
      "  line 8: a is no file",
      "  line 9: 6.PNG has no label",
      "  line 10: the path is empty",
      "  line 11: expected train, val or test as split, got later",
      "  line 12: expected 3 cells (path, label, split), got 2",
      "  line 13: no training image has the label z of this test image",
      "  line 14: expected 3 cells (path, label, split), got 4",
      "  line 16: expected train, val or test as split, got nothing",
    ]);
  });

  it("refuses other columns, too few labels, and a file that is not there", async () => {
    expect(await problem("name,kind", "4.png,x")).toBe(
      "FILE: line 1: expected the columns path, label and maybe split, each once, got name, kind.",
    );
    expect(await problem("path,label,class", "4.png,x,y")).toContain("each once, got path, label, class");
    expect(await problem("path,label,weight", "4.png,x,1")).toContain("got path, label, weight");
    expect(await problem("path,label,label", "4.png,x,1")).toContain("each once");
    expect(await problem("")).toContain("got nothing");
    expect(await problem("path,label")).toContain("two or more labels, got none");
    expect(await problem("path,label", "4.png,x")).toContain("two or more labels, got only x");
    expect(await problem("path,label", '"4.png,x')).toContain("FILE: line 2: expected a quote");
    await expect(load(join(folder, "no.csv"))).rejects.toThrow("no.csv does not exist. Expected a CSV file");
  });

  it.each([["file,class"], ["filename,label"], ["Image,Label"]])(
    "takes other names of the columns: %s",
    async (head) => {
      expect((await load(listOf(head, "a/1.png,cat", "5.png,dog"))).classes).toEqual(["cat", "dog"]);
    },
  );

  it("takes semicolons, which Excel writes in much of Europe", async () => {
    const data = await load(listOf("\ufeffpath;label\r", "a/1.png;cat\r", '"b, c/3.png";"dog"\r'));
    expect(data.classes).toEqual(["cat", "dog"]);
    expect(data.train.file!(1).name).toBe("b, c/3.png");
  });

  it("ignores spaces around cells", async () => {
    expect((await load(listOf("path, label", "a/1.png, cat", "4.png ,cat", "5.png, dog"))).classes).toEqual([
      "cat",
      "dog",
    ]);
  });

  it("names twenty mistakes and counts the rest", async () => {
    const rows = Array.from({ length: 25 }, (_, at) => `gone-${at}.png,x`);
    const found = await problem("path,label", ...rows, "4.png,x", "5.png,y");
    expect(found).toContain("25 lines are wrong");
    expect(found.split("\n")).toHaveLength(22);
    expect(found).toContain("… and 5 more");
  });
});

it("rows of a CSV know their line, with quotes over several lines and a byte order mark", () => {
  expect(csvRows('\ufeffa,b\r\n"1\n2","""x"""\n\n3,\n', "x.csv")).toEqual([
    { line: 1, cells: ["a", "b"] },
    { line: 2, cells: ["1\n2", '"x"'] },
    { line: 5, cells: ["3", ""] },
  ]);
});

it("rows of a CSV may end with CR, and a long cell costs no stack", () => {
  const long = "x".repeat(20_000_000);
  expect(
    csvRows(`a,b\r1,2\r"${long}",3`, "x.csv").map(({ line, cells }) => [line, cells[0]!.length, cells[1]]),
  ).toEqual([
    [1, 1, "b"],
    [2, 1, "2"],
    [3, long.length, "3"],
  ]);
  expect(() => csvRows('a\n"b', "x.csv")).toThrow("x.csv: line 2: expected a quote that opens or closes a cell.");
});
