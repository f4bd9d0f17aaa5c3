/** What the documentation shows compiles and runs. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { Trainer, type TrainerConfig } from "../core/index.js";

describe("docs/writing-plugins.md", async () => {
  it("has a config that trains", async () => {
    const { default: config } = (await import("snippet:docs/writing-plugins.md#0" as string)) as {
      default: TrainerConfig;
    };
    const short = { ...config, batchSize: 8, limitTrain: 40, limitTest: 8, maxSteps: 2 };
    expect((await new Trainer(short).fit()).steps).toBe(2);
  });

  await import("snippet:docs/writing-plugins.md#2" as string); // its tests join these
});

const root = fileURLToPath(new URL("..", import.meta.url));

it("every block of TypeScript there and on the plugins' cards type-checks", () => {
  const cards = readdirSync(join(root, "plugins"), { withFileTypes: true })
    .filter((each) => each.isDirectory() && ts.sys.fileExists(join(root, "plugins", each.name, "README.md")))
    .map(({ name }) => `plugins/${name}/README.md`);
  const blocks = new Map<string, string>();
  for (const file of ["docs/writing-plugins.md", ...cards]) {
    const text = readFileSync(join(root, file), "utf8");
    [...text.matchAll(/^```ts\n(.*?)^```$/gms)].forEach(([, block], place) => {
      // A relative import is of the block before, which the text has just shown.
      const linked = block!.replace(
        /"\.\/[\w-]+\.js"/g,
        `"./${file.split("/").at(-1)}.snippet-${place - 1}.js"`,
      );
      blocks.set(join(root, `${file}.snippet-${place}.ts`), linked);
    });
  }
  expect(blocks.size).toBeGreaterThan(3);

  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => blocks.has(path) || fileExists(path);
  host.readFile = (path) => blocks.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...rest) =>
    blocks.has(path)
      ? ts.createSourceFile(path, blocks.get(path)!, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, path, ...rest);
  const program = ts.createProgram([...blocks.keys()], options, host);
  const problems = [...blocks.keys()].flatMap((path) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText }) =>
        `${path.slice(root.length)}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
  });
  expect(problems).toEqual([]);
}, 120_000);
