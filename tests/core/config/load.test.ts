/**
 * Configs as people write them, in a package of their own: loaded by a real process, as the command line
 * loads them.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cases, root, searches, sharing, writeConfigs } from "../../support/written-configs.js";

interface Loaded {
  path: string;
  file?: string;
  config?: unknown;
  same?: boolean;
  code?: string;
  message?: string;
  ours?: boolean;
  polluted: boolean;
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), "fitloop-config-")));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const script = fileURLToPath(new URL("../../support/load-each.ts", import.meta.url));
let loaded: Map<string, Loaded>;
beforeAll(() => {
  writeConfigs(folder);
  const paths = [...Object.keys(cases), ...Object.keys(searches), "module/absent.ts"].map((name) => join(folder, name));
  const output = execFileSync(process.execPath, ["--import", "tsx", script, ...paths], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 200_000,
  });
  loaded = new Map(
    output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Loaded)
      .map((each) => [each.path.slice(folder.length + 1), each]),
  );
});

describe("loading a config", () => {
  it.each(Object.entries(cases))("%s", (name, { text, gives, says, code = "ERR_CONFIG" }) => {
    const result = loaded.get(name)!;
    if (says) expect(result).toMatchObject({ code, ours: true, message: expect.stringMatching(says) });
    else expect(result).toMatchObject({ config: gives, file: join(folder, name) });
    if (text === sharing && !says) expect(result.same, "the same package and the same tf.js").toBe(true);
    expect(result.polluted).toBe(false);
  });

  it("says that a file is not there", () => {
    expect(loaded.get("module/absent.ts")).toMatchObject({
      code: "ERR_DATA",
      message: expect.stringMatching(/does not exist/),
    });
  });

  it.each(Object.entries(searches))("from %s upwards", (from, found) => {
    const result = loaded.get(from)!;
    if (typeof found === "string") expect(result.file).toBe(join(folder, found));
    else expect(result).toMatchObject({ code: "ERR_CONFIG", message: expect.stringMatching(found) });
  });

  it("leaves no file beside a config", () => {
    const expected = Object.keys(cases).flatMap((name) => (/^module\/[^/]*$/.test(name) ? [name.slice(7)] : []));
    expect(readdirSync(join(folder, "module")).sort()).toEqual(
      [...expected, "node_modules", "package.json", "parts", "project"].sort(),
    );
  });
});
