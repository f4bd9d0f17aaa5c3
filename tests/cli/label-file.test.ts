/** A CSV of paths and labels in every command that takes a data set. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import sharp from "sharp";
import { beforeAll, expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";

workplace();
const rows = Array.from({ length: 24 }, (_, at) => {
  return `images/${at}.png,${at % 2 ? "red" : "blue"},${at < 16 ? "train" : at < 20 ? "val" : "test"}`;
});
const write = (lines: readonly string[]): void => {
  writeFileSync("fruit.csv", `${["path,label,split", ...lines].join("\n")}\n`);
};
const small = ["--preset", "from-scratch", "--data", "fruit.csv", "--set", "data.size=16", "--set", "model.width=2"];
const one = ["--epochs", "1", "--batch-size", "8", "--quiet", "--without", "random-crop-flip"];

beforeAll(async () => {
  mkdirSync("images");
  for (const [at] of rows.entries()) {
    const background = at % 2 ? { r: 200, g: at, b: 0 } : { r: 0, g: at, b: 200 };
    await sharp({ create: { width: 16, height: 16, channels: 3, background } })
      .png()
      .toFile(`images/${at}.png`);
  }
  write(rows);
});

it("trains, evaluates, predicts, reports, exports its choice and is checked", async () => {
  expect(await trainer(...small, ...one, "--out", "run")).toMatchObject({ code: 0 });
  expect(existsSync("run/report.html")).toBe(true);
  const record = JSON.parse(readFileSync("run/config.resolved.json", "utf8"));
  expect(record.data.options.path).toMatch(/fruit\.csv$/);
  const evaluated = await trainer("evaluate", "run", "--resamples", "10", "--json");
  expect(JSON.parse(evaluated.stdout)).toMatchObject({ count: 4, dataChanged: false });
  expect((await trainer("predict", "run", "images/1.png")).stdout).toMatch(/red|blue/);
  expect((await trainer("report", "run")).code).toBe(0);
  const maps = await trainer("gradcam", "run", "--split", "test", "--out", "maps");
  expect(maps).toMatchObject({ code: 0, stdout: expect.stringMatching(/^test images of the run's data:\n/) });
  expect(readFileSync("maps/gallery.html", "utf8")).toContain("Grad-CAM of run: test images");
  expect((await trainer("gradcam", "run", "--out", "more")).stdout).toMatch(/^validation images of the run's data:\n/);
  const verified = await trainer("data", "verify", "--data", "fruit.csv", "--size", "16");
  expect(verified.stdout).toContain("train  20 images");
  expect(await trainer("data", "check", "fruit.csv", "--quiet")).toMatchObject({ code: 0 });
  expect(readFileSync("issues.csv", "utf8")).toContain("images/1.png,train,red,");
  const without = await trainer(...small, ...one, "--out", "less", "--exclude", "issues.csv");
  expect(without.code).toBe(0);
}, 60_000);

it("refuses to resume with another label, and names the run after the file where it stands alone", async () => {
  expect(await trainer(...small, ...one, "--max-steps", "1", "--out", "part")).toMatchObject({ code: 0 });
  write([rows[0]!.replace("blue", "red"), ...rows.slice(1)]);
  const changed = await trainer("--resume", "part", "--max-steps", "2", "--quiet");
  expect(changed.code).toBe(2);
  expect(changed.stderr).toContain("--allow-change data");
  write(rows);
  expect(await trainer("--resume", "part", "--max-steps", "2", "--quiet")).toMatchObject({ code: 0 });
  process.env.HF_HUB_OFFLINE = "1";
  const alone = await trainer("plan", "--data", "fruit.csv", "--json");
  delete process.env.HF_HUB_OFFLINE;
  expect(alone.code).toBe(0);
  expect(alone.stdout).toContain('"fruit"');
}, 60_000);
