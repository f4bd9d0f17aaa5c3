/**
 * Parts of the user's own: this machine remembers where their config is, outside the run's folder; a run that came from
 * elsewhere needs --config, and names no code that is executed.
 */
import { cpSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { configHash } from "../../core/config/load.js";
import { toCheckedJson } from "../../run/checked-json.js";
import { importedFile, ownConfigFile } from "../support/own-configs.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { base, inside } = workplace();
const cat = join(base, "cat.png");
beforeAll(async () => {
  await sharp({ create: { width: 20, height: 16, channels: 3, background: "#a03040" } })
    .png()
    .toFile(cat);
});

describe("the config that this machine remembers", () => {
  const copy = ownConfigFile("remembered");
  beforeAll(async () => {
    process.env.OWN = "model";
    expect(await trainer("--config", copy, "--out", "local", "--quiet", "--max-steps", "2")).toMatchObject({ code: 0 });
  });

  it("is never one that a record names", async () => {
    const record = JSON.parse(readFileSync("local/config.resolved.json", "utf8"));
    cpSync("local", "shared", { recursive: true });
    writeFileSync("shared/evil.mjs", "globalThis.executed = true; export default {};");
    const source = { path: join(inside, "shared", "evil.mjs"), sha256: record.source.sha256 };
    writeFileSync("shared/config.resolved.json", toCheckedJson({ ...record, source, checksum: undefined }));
    for (const words of [
      ["evaluate", "shared"],
      ["--resume", "shared"],
      ["replay", "shared", "--step", "1"],
    ]) {
      expect(await trainer(...words)).toMatchObject({ code: 2, stderr: expect.stringContaining("--config FILE") });
    }
    expect(globalThis).not.toHaveProperty("executed");
  });

  it("is not replaced by what a record names, however often the run is resumed", async () => {
    cpSync("local", "tampered", { recursive: true });
    expect(await trainer("--resume", "tampered", "--config", copy, "--max-steps", "3", "--quiet")).toMatchObject({
      code: 0,
    });
    const file = "tampered/config.resolved.json";
    const record = JSON.parse(readFileSync(file, "utf8"));
    const evil = join(inside, "tampered", "evil.mjs");
    writeFileSync(evil, "globalThis.executed = true; export default {};");
    writeFileSync(file, JSON.stringify({ ...record, source: { path: evil, sha256: await configHash(evil) } }));
    for (const steps of ["4", "5"]) {
      await trainer("--resume", "tampered", "--max-steps", steps, "--quiet");
      expect(globalThis).not.toHaveProperty("executed");
    }
  });

  it("belongs to the folder where the run was made", async () => {
    renameSync("local", "moved");
    expect(await trainer("predict", "moved", cat)).toMatchObject({ code: 2 });
    expect(await trainer("predict", "moved", cat, "--config", copy)).toMatchObject({ code: 0 });
    renameSync("moved", "local");
    expect(await trainer("predict", "local", cat)).toMatchObject({ code: 0 });
  });

  it.each([
    ["it", copy],
    ["a file that it imports", importedFile],
  ])("is used as long as %s is as it was", async (_, file) => {
    const text = readFileSync(file, "utf8");
    writeFileSync(
      file,
      `${text}
export const more = 1;
`,
    );
    const changed = await trainer("predict", "local", cat);
    const asked: Ran = await trainer("predict", "local", cat, "--config", copy);
    const resumed = await trainer("--resume", "local", "--config", copy);
    writeFileSync(file, text);
    expect(changed).toMatchObject({ code: 2, stderr: expect.stringMatching(/model "own-model".*has changed since/) });
    expect(asked).toMatchObject({ code: 0, stderr: expect.stringMatching(/^warning: .* has changed since/m) });
    expect(resumed).toMatchObject({ code: 2, stderr: expect.stringMatching(/--allow-change config/) });
    expect(await trainer("predict", "local", cat)).toMatchObject({ code: 0 });
  });

  it("that is gone is asked for", async () => {
    renameSync(copy, `${copy}.away`);
    expect(await trainer("predict", "local", cat)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("does not exist"),
    });
    renameSync(`${copy}.away`, copy);
  });

  it("with other options than the run's is refused", async () => {
    const other = ownConfigFile("other");
    writeFileSync(other, readFileSync(other, "utf8").replace("resnet9({ width: 2 })", "resnet9({ width: 4 })"));
    const ran = await trainer("predict", "local", cat, "--config", other);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(
      /model "own-model" has other options than the run's: expected \{"width":2\}, got \{"width":4\}/,
    );
  });
});

it("a part of one's own with a built-in part's name is refused before anything is written", async () => {
  const file = ownConfigFile("named");
  writeFileSync(file, readFileSync(file, "utf8").replaceAll("own-model", "resnet9"));
  process.env.OWN = "model";
  const ran = await trainer("--config", file, "--out", "named");
  expect(ran).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/model "resnet9" is not the built-in one of that name/),
  });
});
