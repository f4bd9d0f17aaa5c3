/// <reference types="vitest/config" />
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * Makes code blocks of Markdown importable, so that what the documentation shows is what the tests run:
 * `import("snippet:plugins/dropout/README.md")`, and `…README.md#2` for the third block.
 */
const snippets = {
  name: "markdown-snippets",
  resolveId(id: string, importer?: string) {
    // A relative import in a block is of the block before, which the text has just shown.
    const [, page, own] = /^\/(.+\.md)\.snippet-(\d+)\.ts$/.exec(importer ?? "") ?? [];
    if (page !== undefined && id.startsWith("./")) return `/${page}.snippet-${Number(own) - 1}.ts`;
    const [, file, place = "0"] = /^snippet:([^#]+)(?:#(\d+))?$/.exec(id) ?? [];
    return file === undefined ? undefined : `/${file}.snippet-${place}.ts`;
  },
  load(id: string) {
    const [, path, place] = /^\/(.+\.md)\.snippet-(\d+)\.ts$/.exec(id) ?? [];
    if (path === undefined) return undefined;
    const file = source(path);
    const blocks = [...readFileSync(file, "utf8").matchAll(/^```ts\n(.*?)^```$/gms)];
    const block = blocks[Number(place)]?.[1];
    if (block === undefined) throw new Error(`${file} has no ts block ${place}.`);
    return block;
  },
};

export default defineConfig({
  plugins: [snippets],
  resolve: {
    alias: [
      { find: /^fitloop$/, replacement: source("run/index.ts") },
      { find: /^fitloop\/(plugins|presets)$/, replacement: source("$1/index.ts") },
      { find: /^fitloop\/(models|data|testing)$/, replacement: source("core/$1/index.ts") },
    ],
  },
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "tests/long/**"],
    globalSetup: "tests/setup.ts",
    // TensorFlow is a native library: it wants a process, not a thread, and two of them fill two cores.
    pool: "forks",
    maxWorkers: 2,
    // For what never ends. What is slow is no failure: on a busy machine a test may take ten times as long.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
