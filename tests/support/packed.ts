/** The published package as a stranger gets it: packed, and installed into an empty project elsewhere. */

import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

interface Output {
  stdout: string;
  stderr: string;
}

export interface Project {
  readonly folder: string;
  /** What `npm install` printed. */
  readonly installation: Output;
  /** A file of the installed package. */
  installed(...path: string[]): string;
  write(file: string, text: string): void;
  read(file: string): string;
  /** Runs a program in the project; rejects unless it exits with 0. */
  run(program: string, ...words: string[]): Promise<Output>;
  /** Runs the package's own command. */
  trainer(...words: string[]): Promise<Output>;
  remove(): void;
}

/** `npm init -y` alone, with `"type": "module"`, and the same in pnpm's layout: only what a manifest names can be imported. */
export const layouts = ["commonjs", "module", "linked"] as const;
export type Layout = (typeof layouts)[number];

/** Packs the sources into a folder and gives the tarball's path. */
export async function pack(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  await run(process.execPath, [join(root, "scripts/pack.mjs"), folder], { cwd: root });
  return join(folder, readdirSync(folder).find((name) => name.endsWith(".tgz"))!);
}

/** Installs the tarball into a new project. */
export async function createProject(tarball: string, layout: Layout): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), `fitloop-${layout}-`));
  await run("npm", ["init", "-y"], { cwd: folder });
  if (layout !== "commonjs") await run("npm", ["pkg", "set", "type=module"], { cwd: folder });
  const strategy = layout === "linked" ? ["--install-strategy=linked"] : [];
  const words = ["install", "--prefer-offline", "--no-audit", "--no-fund", ...strategy, tarball];
  const installation = await run("npm", words, { cwd: folder });
  return {
    folder,
    installation,
    installed: (...path) => join(folder, "node_modules", "fitloop", ...path),
    write: (file, text) => writeFileSync(join(folder, file), text),
    read: (file) => readFileSync(join(folder, file), "utf8"),
    run: (program, ...words) => run(program, words, { cwd: folder }),
    trainer: (...words) => run(join(folder, "node_modules/.bin/trainer"), words, { cwd: folder }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The lines of an output that a user would stumble over: warnings of ours, of npm and of Node, and crashes. */
export const complaintsIn = (text: string): string[] =>
  text.split("\n").filter((line) => /\bwarn(ing)?\b[: ]|Warning:|deprecat|not a function|fault of/.test(line));

/** Writes what the README and the examples speak of: images of two classes in `photos/`, and one more, `cat.jpg`. */
export async function writePhotos(folder: string): Promise<void> {
  const colours = { cat: [230, 150, 40], dog: [30, 50, 130] } as const;
  /** A JPEG of one colour with stripes, so that no two are the same image. */
  const draw = (colour: readonly number[], stripe: number) => {
    const size = 70 + stripe;
    const pixels = Uint8Array.from({ length: size * size * 3 }, (_, at) =>
      Math.min(255, colour[at % 3]! + (Math.floor(at / 3) % (2 * stripe) < stripe ? 0 : 40)),
    );
    return sharp(pixels, { raw: { width: size, height: size, channels: 3 } }).jpeg();
  };
  for (const [name, colour] of Object.entries(colours)) {
    mkdirSync(join(folder, "photos", name), { recursive: true });
    for (let number = 1; number <= 20; number++) {
      await draw(colour, number).toFile(join(folder, "photos", name, `${number}.jpg`));
    }
  }
  await draw(colours.cat, 21).toFile(join(folder, "cat.jpg"));
}

/** Runs commands in a shell that ends at the first failure, and ends what it left in the background. */
export function runShell(commands: string, cwd: string): Promise<{ code: number | null; output: string }> {
  const child = spawn("bash", ["-euo", "pipefail", "-c", commands], { cwd, detached: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      try {
        process.kill(-child.pid!, "SIGKILL"); // the group: a server that a command started with &
      } catch {
        // nothing was left
      }
      resolve({ code, output });
    });
  });
}

export const moduleResolutions = ["Bundler", "NodeNext"] as const;

/** A use of every entry's types, right ones and wrong ones. */
const use = `
     import { defineConfig, train, Trainer, tf, z, type FitSummary, type Given, type Plugin, type Run } from "fitloop";
     import { shapes } from "fitloop/data";
     import { resnet18 } from "fitloop/models";
     import { dropout } from "fitloop/plugins";
     import { presets } from "fitloop/presets";
     import { microConfig } from "fitloop/testing";
     const written = defineConfig({
       data: shapes(), model: resnet18(), learningRate: 1, epochs: 1,
       plugins: [{ name: "half", options: {}, apply: ({ hooks }) => hooks.afterLoss.tap((loss) => loss.mul(0.5)) }],
     });
     const plugin: Given<Plugin> = dropout({ rate: 0.5 });
     // @ts-expect-error a rate is a number
     dropout({ rate: "half" });
     // @ts-expect-error there is no such key
     defineConfig({ data: shapes(), model: resnet18(), learningRate: 1, epochs: 1, epochz: 2 });
     const trainer = new Trainer(defineConfig({ data: shapes(), model: resnet18(), learningRate: 1, epochs: 1, plugins: [plugin] }));
     trainer.events.on("epoch:end", ({ validation }) => { const top1: number | undefined = validation?.top1; void top1; });
     const summary: Promise<FitSummary> = trainer.fit().then((result) => result.summary);
     const run: Promise<Run> = train(written, { folder: "a" });
     const twice: tf.Tensor = tf.scalar(1).mul(2);
     void [summary, run, twice, z.string(), written, presets.quickstart.create(), microConfig()];`;

/** What a TypeScript compiler says of that use in a project: nothing where the types hold. */
export async function typeProblems(
  project: Project,
  tsc: string,
  moduleResolution: (typeof moduleResolutions)[number],
): Promise<string> {
  project.write("use.mts", use);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: false,
    types: [], // a user need not have @types/node
    target: "ES2022",
    module: moduleResolution === "Bundler" ? "ESNext" : "NodeNext",
    moduleResolution,
  };
  project.write("tsconfig.use.json", JSON.stringify({ compilerOptions, files: ["use.mts"] }));
  const { stdout } = await project
    .run(process.execPath, tsc, "-p", "tsconfig.use.json")
    .catch((error: { stdout: string }) => error);
  // Problems of other packages' types are theirs: tfjs-core needs those of "long", and newer TypeScripts have WebGPU's themselves.
  const ofOthers = /^(?!\S*node_modules\/fitloop\/|use\.mts)\S+\(\d+,\d+\): error .*\n(?:\s.*\n)*/gm;
  return stdout.replace(ofOthers, "");
}
