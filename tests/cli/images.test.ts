import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { imageFiles } from "../../cli/images.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-images-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

it("the images of a folder come in the order of their code points, as those of a data set", () => {
  const names = ["b.png", "a.png", "\u{1f426}.png", "\uff21.png"];
  mkdirSync(join(base, "images"));
  for (const name of names) writeFileSync(join(base, "images", name), "");
  const found = imageFiles([join(base, "images")]).map((path) => basename(path));
  expect(found).toEqual(["a.png", "b.png", "\uff21.png", "\u{1f426}.png"]);
});
