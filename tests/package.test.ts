/**
 * The published package in an empty project: what is in it, one training on each backend, own parts, types.
 * tests/long/package.test.ts runs every command in every layout of a project.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, expect, test } from "vitest";
import { complaintsIn, createProject, moduleResolutions, type Project, pack, typeProblems } from "./support/packed.js";

const packed = mkdtempSync(join(tmpdir(), "fitloop-packed-"));
let tarball: string;
let project: Project;

beforeAll(async () => {
  tarball = await pack(packed);
  project = await createProject(tarball, "commonjs");
});

afterAll(() => {
  project?.remove();
  rmSync(packed, { recursive: true, force: true });
});

const filesUnder = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name));

test("publint finds nothing in the tarball", async () => {
  const buffer = readFileSync(tarball);
  const { messages, pkg } = await publint({
    pack: { tarball: buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length) as ArrayBuffer },
    strict: true,
    level: "warning", // it suggests to leave out an example's test
  });
  expect(messages.map((message) => formatMessage(message, pkg!))).toEqual([]);
});

test("only the packed manifest can be published, and it runs no script", () => {
  const own = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"));
  const published = JSON.parse(readFileSync(project.installed("package.json"), "utf8"));
  expect(own.private).toBe(true);
  expect(published).not.toHaveProperty("private");
  expect(published).not.toHaveProperty("scripts");
  expect(published).not.toHaveProperty("devDependencies");
  expect({ ...published, exports: undefined, dependencies: undefined }).toMatchObject({
    name: own.name,
    version: own.version,
    license: own.license,
    engines: own.engines,
    bin: own.bin,
  });
  expect(Object.keys(published.exports)).toEqual(Object.keys(own.exports));
});

test("installing it runs no script and prints no warning", () => {
  const { packages } = JSON.parse(project.read("package-lock.json")) as { packages: Record<string, object> };
  const scripted = Object.entries(packages).filter(([, each]) => "hasInstallScript" in each);
  expect(scripted.map(([name]) => name)).toEqual([]);
  expect(complaintsIn(project.installation.stdout + project.installation.stderr)).toEqual([]);
});

test("it does not depend on the native package, and carries its source", () => {
  const { dependencies } = JSON.parse(readFileSync(project.installed("package.json"), "utf8"));
  expect(dependencies).not.toHaveProperty("@tensorflow/tfjs-node-gpu");
  expect(existsSync(join(project.folder, "node_modules/@tensorflow/tfjs-node-gpu"))).toBe(false);
  expect(readdirSync(project.installed("native/binding"))).toContain("tfjs_backend.cc");
  expect(readdirSync(project.installed("native/include"))).toContain("node_api.h");
});

test("docs and cards are in it, and every link in them points to a file or a section that is there", () => {
  const pages = filesUnder(project.installed()).filter(
    (file) => file.endsWith(".md") && !file.slice(project.installed().length).includes("node_modules"),
  );
  expect(pages.length).toBeGreaterThan(40); // README, CHANGELOG, docs, a card a plugin
  const sections = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );
  const broken = pages.flatMap((page) => {
    const text = readFileSync(page, "utf8").replaceAll(/^```.*?^```$/gms, "");
    return [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)]+))?\)/g)].flatMap(([, path, section]) => {
      const target = path ? join(dirname(page), path) : page;
      if (!existsSync(target)) return [`${page}: no file ${path}`];
      if (section && !sections(readFileSync(target, "utf8")).includes(section))
        return [`${page}: no #${section} in ${path}`];
      return [];
    });
  });
  expect(broken).toEqual([]);
});

test("trainer trains and draws heat maps on TensorFlow", async () => {
  const short = ["--max-steps", "2", "--limit-test", "20"];
  const { stderr } = await project.trainer(
    "--preset",
    "quickstart",
    "--backend",
    "tensorflow",
    ...short,
    "--out",
    "run",
  );
  expect(complaintsIn(stderr)).toEqual([]);
  expect(JSON.parse(project.read("run/summary.json"))).toMatchObject({ backend: "tensorflow", steps: 2 });
  await project.trainer("gradcam", "run", "--images", "4", "--out", "maps");
  expect(readdirSync(join(project.folder, "maps"))).toContain("gallery.png");
});

test("trainer backend install finds the cache full, and status says so", async () => {
  const { stderr, stdout } = await project.trainer("backend", "install");
  expect(stderr + stdout).not.toContain("fetch");
  expect((await project.trainer("backend", "status")).stdout).toContain("2.21.0");
});

/** A config with a plugin of its own, which uses a tensor's method and nothing but the package. */
const config = `
import { defineConfig } from "fitloop";
import { shapes } from "fitloop/data";
import { resnet9 } from "fitloop/models";
import { labelSmoothing } from "fitloop/plugins";

export default defineConfig({
  data: shapes({ classes: 3, size: 16, train: 40, test: 10 }),
  model: resnet9({ width: 4 }),
  learningRate: 0.01,
  epochs: 1,
  batchSize: 16,
  plugins: [
    labelSmoothing(),
    { name: "half", options: {}, apply: ({ hooks }) => hooks.afterLoss.tap({ pure: true }, (loss) => loss.mul(0.5)) },
  ],
});
`;

test("a config of the project shares one package with the command line, on wasm", async () => {
  project.write("trainer.config.ts", config);
  const { stderr } = await project.trainer("--backend", "wasm", "--out", "mine");
  expect(complaintsIn(stderr)).toEqual([]);
  expect(JSON.parse(project.read("mine/summary.json"))).toMatchObject({ backend: "wasm", costs: { half: {} } });
});

test.each(moduleResolutions)("its types hold under moduleResolution %s", async (moduleResolution) => {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  expect(await typeProblems(project, tsc, moduleResolution)).toBe("");
});
