/**
 * Builds the published package in build/package and packs it: `npm run pack` writes build/fitloop-<version>.tgz.
 * `node scripts/pack.mjs FOLDER` does both in FOLDER instead. The same sources give the same bytes.
 *
 * esbuild bundles the code into one shared set of chunks, so that every entry sees the same modules. tsc alone would leave
 * imports that Node refuses ("Bundler" resolution), so it writes the types only.
 * An installation runs no script of a package:
 * - @tensorflow/tfjs-node-gpu is no dependency. Its script fetches an old TensorFlow, and fails the whole installation
 *   without it. The package carries its JavaScript in the bundle and its C++ source in native/.
 * - esbuild is no dependency. Its script replaces a launcher that nothing here uses. The package carries its JavaScript in
 *   vendor/, and depends on its binaries directly.
 */

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = resolve(process.argv[2] ?? join(root, "build"));
const out = join(target, "package");
const require = createRequire(import.meta.url);
const packageFolder = (name) => dirname(require.resolve(`${name}/package.json`));

// Only the packed manifest may be published: the repository's own is private and has exports of sources.
const {
  private: _private,
  scripts: _scripts,
  devDependencies: _dev,
  exports: sources,
  ...manifest
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const {
  "@tensorflow/tfjs-node-gpu": _native,
  "node-api-headers": _headers,
  esbuild: _esbuild,
  tsx: _tsx, // runs the sources of a checkout
  ...dependencies
} = manifest.dependencies;

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const name of readdirSync(target).filter((each) => each.endsWith(".tgz"))) rmSync(join(target, name));

/** "./plugins" -> "plugins", "." -> "index": the names of the bundle's entries. */
const nameOf = (key) => (key === "." ? "index" : key.slice(2));
const entries = Object.entries(sources).filter(([key]) => key !== "./package.json");
const core = "@tensorflow/tfjs-core";

/** Apart from the others: it shares no chunk with what needs Node. */
const forBrowsers = entries.filter(([key]) => key === "./browser");
const forNode = entries.filter(([key]) => key !== "./browser");

await build({
  absWorkingDir: root,
  entryPoints: { ...Object.fromEntries(forNode.map(([key, file]) => [nameOf(key), file])), cli: "cli/main.ts" },
  outdir: join(out, "dist"),
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  // tfjs-node asks for the union package. It uses the core only, of which there must be one copy.
  alias: { "@tensorflow/tfjs": "./core/backend/tfjs-for-bundle.ts" },
  external: Object.keys(dependencies).filter((name) => name !== core),
  plugins: [
    {
      name: "core-outside",
      // The core stays outside. Its gradients and chained methods, which only bundlers can load, come in.
      setup: ({ onResolve }) =>
        onResolve({ filter: new RegExp(`^${core}$`) }, ({ path }) => ({ path, external: true })),
    },
    {
      name: "esbuild-outside", // relative to dist/, where all chunks are
      setup: ({ onResolve }) =>
        onResolve({ filter: /^esbuild$/ }, () => ({ path: "../vendor/esbuild/lib/main.js", external: true })),
    },
  ],
  // CommonJS parts (tfjs-node, google-protobuf) keep their `require` of Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});
await build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(forBrowsers.map(([key, file]) => [nameOf(key), file])),
  outdir: join(out, "dist"),
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  logLevel: "warning",
});

const types = join(out, "dist", "types");
execFileSync(
  process.execPath,
  [join(packageFolder("typescript"), "bin", "tsc"), "-p", "tsconfig.types.json", "--outDir", types],
  { cwd: root, stdio: "inherit" },
);
// The types of `tensor.mul(2)`: tfjs-core declares these methods beside the module that the bundle runs.
const entryTypes = join(types, sources["."].replace(/\.ts$/, ".d.ts"));
const chained = `import "${core}/dist/public/chained_ops/register_all_chained_ops.js";\n`;
writeFileSync(entryTypes, chained + readFileSync(entryTypes, "utf8"));

for (const name of ["quiet-loader.cc", "group.cc"]) {
  cpSync(join(root, "core/backend/install", name), join(out, "native", name));
}
cpSync(join(packageFolder("@tensorflow/tfjs-node-gpu"), "binding"), join(out, "native", "binding"), {
  recursive: true,
});
// include/ and, for Windows' linker, def/
for (const name of ["include", "def"]) {
  cpSync(join(packageFolder("node-api-headers"), name), join(out, "native", name), { recursive: true });
}

const esbuild = JSON.parse(readFileSync(join(packageFolder("esbuild"), "package.json"), "utf8"));
const vendor = join(out, "vendor", "esbuild");
// Its JavaScript refuses to run from elsewhere than lib/main.js.
for (const file of ["lib/main.js", "LICENSE.md"]) cpSync(join(packageFolder("esbuild"), file), join(vendor, file));
const vendored = { name: esbuild.name, version: esbuild.version, license: esbuild.license, type: "commonjs" };
writeFileSync(join(vendor, "package.json"), `${JSON.stringify(vendored, null, 2)}\n`);

/** What is read as it is: by people, by a report when it is written, and by an export for the web. */
const cards = readdirSync(join(root, "plugins"), { withFileTypes: true })
  .filter((each) => each.isDirectory())
  .map(({ name }) => `plugins/${name}/README.md`);
const whole = [
  "README.md",
  "LICENSE",
  "NOTICE",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bin",
  "browser",
  "docs",
  "examples",
  "report/page",
  ...cards,
];
const filter = (path) => !/\/(node_modules|runs)$/.test(path); // what running an example leaves
for (const file of whole) {
  cpSync(join(root, file), join(out, file), { recursive: true, filter });
}

const entry = ([key, file]) => [
  key,
  { types: `./dist/types/${file.slice(2).replace(/\.ts$/, ".d.ts")}`, default: `./dist/${nameOf(key)}.js` },
];
const packed = {
  ...manifest,
  exports: { ...Object.fromEntries(entries.map(entry)), "./package.json": "./package.json" },
  dependencies,
  optionalDependencies: esbuild.optionalDependencies,
};
writeFileSync(join(out, "package.json"), `${JSON.stringify(packed, null, 2)}\n`);

execFileSync("npm", ["pack", out, "--pack-destination", target, "--silent"], { cwd: root, stdio: "inherit" });
