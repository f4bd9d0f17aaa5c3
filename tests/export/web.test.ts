import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ClassifierFile } from "../../browser/classifier.js";
import { classifierPage } from "../../export/page.js";
import { runtimePackages } from "../../export/web.js";

const about: ClassifierFile = {
  version: 1,
  name: "cats",
  format: "tfjs",
  model: "model.json",
  classes: ["</script><script>alert(1)</script>", "b"],
  input: { scale: 64, interpolation: "bilinear", crop: 64, size: 64, type: "float32" },
  output: "probabilities",
  temperature: 1,
};
const page = (files: Map<string, Iterable<Uint8Array>>, changes: Partial<ClassifierFile> = {}): string =>
  Buffer.concat([...classifierPage({ ...about, ...changes }, files, 'say("</script>")', "p{}")]).toString();

describe("classifierPage", () => {
  it("has its files as base64, whole also where they come in several pieces", () => {
    const bytes = Uint8Array.from({ length: 7_000_001 }, (_, at) => at * 31);
    const text = page(new Map([["large.bin", [bytes.subarray(0, 10), bytes.subarray(10, 11), bytes.subarray(11)]]]));
    const found = /data-file="large\.bin">([^<]*)</.exec(text)![1]!;
    expect(Buffer.from(found, "base64").equals(bytes)).toBe(true);
    expect(found.indexOf("=")).toBeGreaterThan(found.length - 3); // padding at the end only
  });

  it("takes no name and no text for code", () => {
    const text = page(new Map());
    expect(text.match(/<script/g)!.length).toBe(2);
    expect(text).toContain("\\u003c/script>");
    expect(text).toContain('say("<\\/script>")');
  });

  it("says how good the run was, or that nobody knows", () => {
    expect(page(new Map())).toContain("How often it is right is not known.");
    expect(page(new Map(), { test: { top1: 0.9, images: 50 } })).toContain(
      "On 50 test images the run was right on 90.0 %.",
    );
  });

  it("lets scripts of a blob run with LiteRT only, whose loader is one", () => {
    expect(page(new Map())).not.toMatch(/script-src [^;]*blob:/);
    expect(page(new Map(), { format: "litert" })).toMatch(/script-src [^;]*blob:/);
  });
});

it("the runtimes that a page needs are optional peer dependencies of ours", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  for (const each of Object.values(runtimePackages)) {
    const [, name, version] = /^(.+)@(.+)$/.exec(each)!;
    expect(manifest.peerDependencies[name!].replace("^", "")).toBe(version);
    expect(manifest.peerDependenciesMeta[name!]).toEqual({ optional: true });
  }
});
