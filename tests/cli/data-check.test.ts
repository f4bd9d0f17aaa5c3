/** `trainer data check` again after repairs, and `trainer data verify` on the same folder. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import sharp from "sharp";
import { beforeEach, describe, expect, it } from "vitest";
import { trainer, workplace } from "../support/run-cli.js";

workplace();
let count = 0;
beforeEach(async () => {
  const folder = `folder-${count++}`;
  mkdirSync(folder);
  process.chdir(folder);
  for (const [at, name] of ["cat", "dog"].entries()) {
    mkdirSync(`photos/${name}`, { recursive: true });
    for (let place = 0; place < 3; place++) {
      const pixels = Uint8Array.from({ length: 48 * 40 * 3 }, (_, byte) => ((byte * (7 + place + 5 * at)) % 251) + at);
      await sharp(pixels, { raw: { width: 48, height: 40, channels: 3 } })
        .jpeg({ quality: 95 })
        .toFile(`photos/${name}/${place}.jpg`);
    }
  }
  return () => process.chdir("..");
});
const check = () => trainer("data", "check", "photos", "--quiet");
const rows = (): string[] => readFileSync("issues.csv", "utf8").split("\n").slice(1, -1);

/** The end of a JPEG is gone. */
function cut(path: string): void {
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, Math.floor(bytes.length / 2)));
}

describe("trainer data check", () => {
  it("says of a damaged file what a run says, and the run says how to train without it", async () => {
    cut("photos/cat/0.jpg");
    expect((await check()).code).toBe(0);
    const [, problem] = /cat\/0\.jpg,train,cat,unreadable,([^,]*premature end[^,]*),yes/.exec(rows()[0]!) ?? [];
    const plan = await trainer("plan", "--preset", "from-scratch", "--data", "photos");
    expect(plan.code).toBe(65);
    expect(plan.stderr).toContain(`photos/cat/0.jpg: ${problem}`);
    expect(plan.stderr).toMatch(
      /`trainer data check \S+photos` writes issues\.csv, then add --exclude issues\.csv\.\n$/,
    );
    expect(
      await trainer("plan", "--preset", "from-scratch", "--data", "photos", "--exclude", "issues.csv"),
    ).toMatchObject({
      code: 0,
    });
  });

  it("replaces its own page and list, and keeps what the user wrote into the list", async () => {
    cut("photos/cat/0.jpg");
    copyFileSync("photos/cat/1.jpg", "photos/dog/copy.jpg");
    await check();
    const list = readFileSync("issues.csv", "utf8");
    const edited = list.replace(/^(dog\/copy\.jpg,.*exact copy,.*),no,/m, "$1,yes,");
    expect(edited).not.toBe(list);
    const own =
      "dog/0.jpg,train,dog,doubted label,rather cat,yes,cat,0.1000\ndog/gone.jpg,train,dog,doubted label,,yes,cat,0.1\n";
    writeFileSync("issues.csv", edited + own);
    rmSync("photos/cat/0.jpg");
    const { code, stdout } = await check();
    expect(code).toBe(0);
    expect(stdout).toContain("1 row of the earlier list kept");
    expect(stdout).toContain("2 files to leave out");
    const files = rows().map((line) => line.split(",")[0]);
    expect(files).not.toContain("cat/0.jpg");
    expect(files).not.toContain("dog/gone.jpg");
    expect(rows().find((line) => line.includes("exact copy"))).toContain(",yes,");
    expect(rows().at(-1)).toBe("dog/0.jpg,train,dog,doubted label,rather cat,yes,cat,0.1000");
    expect(readFileSync("data-check.html", "utf8")).not.toContain("cat/0.jpg");
  });

  it("replaces no other file, and names all of them at once", async () => {
    writeFileSync("data-check.html", "<h1>mine</h1>");
    writeFileSync("issues.csv", "file,why\na,b\n");
    const both = await check();
    expect(both.code).toBe(73);
    expect(both.stderr).toMatch(/data-check\.html and issues\.csv already exist, .*with --page and --csv\.$/m);
    expect(readFileSync("issues.csv", "utf8")).toBe("file,why\na,b\n");
    rmSync("data-check.html");
    expect((await check()).stderr).toMatch(/^trainer: issues\.csv already exists, .*another path with --csv\.$/m);
  });

  it("says once why its list cannot be written, and where else to", async () => {
    const { code, stderr } = await trainer("data", "check", "photos", "--quiet", "--csv", "none/issues.csv");
    expect(code).toBe(73);
    expect(stderr).toMatch(/^trainer: Writing none\/issues\.csv failed: ENOENT.* Choose another path with --csv\.$/m);
    expect(stderr).not.toMatch(/--out|cannot be written/);
  });

  it("takes the page of another folder for another file", async () => {
    await check();
    mkdirSync("others");
    for (const name of ["a", "b"]) {
      mkdirSync(`others/${name}`);
      copyFileSync("photos/cat/0.jpg", `others/${name}/0.jpg`);
    }
    expect(await trainer("data", "check", "others")).toMatchObject({ code: 73 });
  });
});

it("trainer data verify takes a folder of images for one", async () => {
  const { code, stdout } = await trainer("data", "verify", "--data", "photos", "--size", "16");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^imageFolder: 2 classes/);
});

it("a run says which settings it takes from a config that happens to be there", async () => {
  const config = (path: string): void =>
    writeFileSync(
      "trainer.config.mjs",
      'import { imageFolder } from "fitloop/data";\nimport { resnet18 } from "fitloop/models";\n' +
        `export default { data: imageFolder({ path: "${path}", size: 16 }), model: resnet18({ width: 4 }), learningRate: 0.1, epochs: 1 };\n`,
    );
  config("elsewhere");
  const other = await trainer("plan", "--data", "photos");
  expect(other).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/its name, model and settings stay.*--preset transfer/),
  });
  config("./photos");
  expect((await trainer("plan", "--data", "photos")).stderr).not.toContain("settings stay");
});
