/**
 * Builds what is published into build/package and packs it: `npm run pack` -> build/fitloop-<version>.tgz.
 *
 * npm runs no prepack with ignore-scripts, and tsc under "Bundler" leaves imports that Node refuses; so the code is
 * bundled (esbuild, one shared set of chunks, so that every entry sees the same modules) and only types come from tsc.
 * The native package is no dependency of what is published: its install script fetches an old TensorFlow and fails
 * the whole installation where it cannot. Its JavaScript is bundled and its C++ source carried along.
 */

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build", "package");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const require = createRequire(import.meta.url);
const { "@tensorflow/tfjs-node-gpu": _native, "node-api-headers": _headers, ...dependencies } = manifest.dependencies;

rmSync(dirname(out), { recursive: true, force: true }); // old tarballs too
mkdirSync(out, { recursive: true });

const core = "@tensorflow/tfjs-core";

/** Entry of the package -> its source. */
const entries = {
  index: "run/index.ts",
  plugins: "plugins/index.ts",
  presets: "presets/index.ts",
  models: "core/models/index.ts",
  data: "core/data/index.ts",
  testing: "core/testing/index.ts",
  cli: "cli/main.ts",
};

await build({
  absWorkingDir: root,
  entryPoints: entries,
  outdir: join(out, "dist"),
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  sourcemap: true,
  // tfjs-node asks for the union package; all it uses of it is the core, of which there must be one copy.
  alias: { "@tensorflow/tfjs": "./core/backend/tfjs-for-bundle.ts" },
  external: Object.keys(dependencies).filter((name) => name !== core),
  plugins: [
    {
      name: "core-outside",
      // The core itself stays outside; its gradients, a file that only bundlers can load, come in.
      setup: ({ onResolve }) =>
        onResolve({ filter: new RegExp(`^${core}$`) }, ({ path }) => ({ path, external: true })),
    },
  ],
  // CommonJS parts (tfjs-node, google-protobuf) keep their `require` of Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});

execFileSync(process.execPath, [require.resolve("typescript/bin/tsc"), "-p", "tsconfig.types.json"], {
  cwd: root,
  stdio: "inherit",
});

const native = dirname(require.resolve("@tensorflow/tfjs-node-gpu/package.json"));
cpSync(join(native, "binding"), join(out, "native", "binding"), { recursive: true });
cpSync(join(dirname(require.resolve("node-api-headers/package.json")), "include"), join(out, "native", "include"), {
  recursive: true,
});
for (const file of ["README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "bin"]) {
  cpSync(join(root, file), join(out, file), { recursive: true });
}

// Read as they are when a report is written.
for (const file of ["page.js", "page.css"]) cpSync(join(root, "report", file), join(out, "report", file));

const entry = (name) => ({
  types: `./dist/types/${entries[name].replace(/\.ts$/, ".d.ts")}`,
  default: `./dist/${name}.js`,
});
const { name, version, description, keywords, license, type, engines, bin } = manifest;
writeFileSync(
  join(out, "package.json"),
  `${JSON.stringify(
    {
      name,
      version,
      description,
      keywords,
      license,
      type,
      engines,
      bin,
      exports: {
        ".": entry("index"),
        ...Object.fromEntries(
          ["plugins", "presets", "models", "data", "testing"].map((key) => [`./${key}`, entry(key)]),
        ),
        "./package.json": "./package.json",
      },
      dependencies,
    },
    null,
    2,
  )}\n`,
);

execFileSync("npm", ["pack", out, "--pack-destination", join(root, "build"), "--silent"], {
  cwd: root,
  stdio: "inherit",
});
