import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";

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

/**
 * What `npm run mutation` runs against each change of a module. Stryker runs these tests in one thread, so they may neither
 * change the process's user nor depend on another process, whose sources stay unchanged.
 */
const { MUTATION_TESTS } = process.env;
/** `npm test` runs "quick"; `npm run test:long` runs tests of minutes, or with root, strace or a mount. None skips itself. */
const projects: TestProjectConfiguration[] = [
  {
    extends: true,
    test: {
      name: "quick",
      include: ["tests/**/*.test.ts", "examples/**/*.test.ts"],
      exclude: ["**/node_modules/**", "tests/long/**"],
    },
  },
  { extends: true, test: { name: "long", include: ["tests/long/**/*.test.ts"], testTimeout: 1_800_000 } },
];

export default defineConfig({
  plugins: [snippets],
  resolve: {
    alias: [
      { find: /^fitloop$/, replacement: source("run/index.ts") },
      { find: /^fitloop\/(plugins|presets|export|browser)$/, replacement: source("$1/index.ts") },
      { find: /^fitloop\/(models|data|testing)$/, replacement: source("core/$1/index.ts") },
    ],
  },
  test: {
    ...(MUTATION_TESTS ? { include: MUTATION_TESTS.split(",") } : { projects }),
    globalSetup: "tests/setup.ts",
    // TensorFlow is a native library: it needs a process, not a thread, and two of them fill two cores.
    pool: "forks",
    maxWorkers: 2,
    // These limits end what would run for ever. A busy machine may need ten times as long, which is no failure.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
