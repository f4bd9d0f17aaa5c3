/** The cache of backends: what counts as whole, and what is swept away. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  type BackendLocation,
  entryName,
  listEntries,
  notInstalled,
  readEntry,
  removeLeftovers,
  verifyEntry,
} from "../../../../core/backend/install/cache.js";
import { hashSources } from "../../../../core/backend/install/native-sources.js";
import { writeEntry } from "../../../support/workshop.js";

const base = mkdtempSync(join(tmpdir(), "fitloop-cache-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let root: string;
let number = 0;
beforeEach(() => mkdirSync((root = join(base, String(number++)))));

describe("an entry's name", () => {
  const recipe = { tensorflow: "9.9.9", variant: "gpu", platform: "linux-x64" } as const;

  it("says version, variant, platform and the binding's source", () => {
    expect(entryName(recipe, "0123456789abcdef")).toBe("tensorflow-9.9.9-gpu-linux-x64-0123456789ab");
  });

  it("follows every byte, file and flag that the binding is made of", () => {
    const binding = join(root, "binding");
    mkdirSync(binding);
    const loader = join(root, "loader.cc");
    const group = join(root, "group.cc");
    writeFileSync(loader, "");
    writeFileSync(group, "");
    const hash = (...flags: string[]): string => hashSources({ binding, nodeApi: "", loader, group }, flags);
    const seen = new Set([hash("-O2")]);
    const changes = [
      () => writeFileSync(join(binding, "a.cc"), "bc"),
      () => writeFileSync(join(binding, "a.cc"), "bd"),
      () => writeFileSync(join(binding, "a.h"), ""),
      () => writeFileSync(loader, "d"),
      () => writeFileSync(group, "e"),
    ];
    for (const change of changes) {
      change();
      expect(seen).not.toContain(hash("-O2"));
      seen.add(hash("-O2"));
    }
    expect(hash("-O2")).toBe(hash("-O2"));
    expect(hash("-O3")).not.toBe(hash("-O2"));
  });
});

describe("an entry", () => {
  const files = { "a.so": "library", "tfjs_binding.node": "addon" };
  const read = async (): Promise<BackendLocation | { problem: string }> => readEntry(join(root, "entry"));
  const damage = (name: string, content: string): void => writeFileSync(join(root, "entry", name), content);
  beforeEach(() => writeEntry(join(root, "entry"), { files }));

  it("is whole where every file has its size", async () => {
    expect(await read()).toMatchObject({
      directory: join(root, "entry"),
      addon: join(root, "entry", "tfjs_binding.node"),
      manifest: { tensorflow: "9.9.9", files: [{ path: "a.so", bytes: 7 }, {}] },
    });
    expect(await verifyEntry((await read()) as BackendLocation)).toBeUndefined();
  });

  it.each([
    ["another size", () => damage("a.so", "librar"), "a.so differs from what was installed"],
    ["a file that is gone", () => rmSync(join(root, "entry", "a.so")), "a.so cannot be read (ENOENT)"],
    ["a manifest that is gone", () => rmSync(join(root, "entry", "manifest.json")), notInstalled],
    ["no JSON", () => damage("manifest.json", "{"), "manifest.json is damaged"],
    ["another program's JSON", () => damage("manifest.json", '{ "format": 2 }'), "manifest.json is damaged"],
    ["nothing", () => rmSync(join(root, "entry"), { recursive: true }), notInstalled],
  ])("with %s says so", async (_, change, problem) => {
    change();
    expect(await read()).toEqual({ problem });
  });

  it("that is a file says so", async () => {
    writeFileSync(join(root, "no-folder"), "");
    expect(await readEntry(join(root, "no-folder"))).toEqual({
      problem: "manifest.json cannot be read (ENOTDIR)",
    });
  });

  it("of the right sizes and another byte is found by reading all of it, and not before", async () => {
    damage("a.so", "librarx");
    const entry = (await read()) as BackendLocation;
    expect(entry).not.toHaveProperty("problem");
    expect(await verifyEntry(entry)).toBe("a.so differs from what was installed");
  });
});

describe("its content", () => {
  it("lists the folders of entries, in order", async () => {
    for (const name of ["tensorflow-2", "tensorflow-1", "tmp-a", "data"]) mkdirSync(join(root, name));
    writeFileSync(join(root, "tensorflow-notes.txt"), "");
    expect(await listEntries(root)).toEqual([join(root, "tensorflow-1"), join(root, "tensorflow-2")]);
    expect(await listEntries(join(root, "absent"))).toEqual([]);
  });

  it("loses what interrupted installs left, and nothing else", async () => {
    mkdirSync(join(root, "tmp-a", "deep"), { recursive: true });
    const outside = join(base, "outside");
    mkdirSync(outside, { recursive: true });
    symlinkSync(outside, join(root, "tmp-a", "link"));
    writeFileSync(join(root, "tmp-b"), "");
    for (const name of ["tensorflow-1", "data", "lock-1-2-host"]) mkdirSync(join(root, name));
    expect((await removeLeftovers(root)).sort()).toEqual(["tmp-a", "tmp-b"]);
    expect(readdirSync(root).sort()).toEqual(["data", "lock-1-2-host", "tensorflow-1"]);
    expect(readdirSync(base)).toContain("outside");
  });
});
