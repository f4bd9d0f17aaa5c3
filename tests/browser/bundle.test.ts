/** What `fitloop/browser` costs a page, and that it runs without Node and without any package. */
import { join } from "node:path";
import { build } from "esbuild";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadClassifier } from "../../browser/index.js";

const entry = join(import.meta.dirname, "../../browser/index.ts");

it("fitloop/browser is at most 15 kB, and imports nothing", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser", // a Node module would be an error here
    tsconfigRaw: {},
    logLevel: "silent",
  });
  expect(outputFiles[0]!.contents.length).toBeLessThan(15_000);
  const outside = Object.keys(metafile.inputs).filter((name) => !/^(.*\/)?browser\/\w+\.ts$/.test(name));
  expect(outside).toEqual([]);
  // The runtime is fetched when a model is loaded, from the model's own folder.
  expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([]);
});

describe("loadClassifier", () => {
  afterEach(() => vi.unstubAllGlobals());
  const serve = (answer: () => Response): void => {
    vi.stubGlobal("location", { href: "https://example.org/app/" });
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => answer()),
    );
  };

  it("names the file that is not there, and what to give", async () => {
    serve(() => new Response("", { status: 404 }));
    await expect(loadClassifier("models/cats")).rejects.toThrow(
      "https://example.org/app/models/cats/classifier.json cannot be loaded: expected status 200, got 404. " +
        "Give the address of a folder that trainer export wrote.",
    );
    await expect(loadClassifier("/models/cats/classifier.json")).rejects.toThrow(
      "https://example.org/models/cats/classifier.json cannot be loaded",
    );
  });

  it("refuses what is no description, such as the page that a server gives for every address", async () => {
    serve(() => new Response("<!doctype html>"));
    await expect(loadClassifier("/")).rejects.toThrow(
      "https://example.org/classifier.json: expected a description of version 1 that trainer export wrote, got something else.",
    );
    serve(() => new Response('{"version":2}'));
    await expect(loadClassifier("/")).rejects.toThrow("got version 2.");
    serve(() => new Response("null"));
    await expect(loadClassifier("/")).rejects.toThrow("got something else.");
  });
});
