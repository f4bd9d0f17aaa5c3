/** Configs as people write them, right and wrong, in packages of their own. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a config needs, as `rest`. */
const needs =
  'const rest = { learningRate: 0.1, epochs: 1, data: { name: "none", options: {}, load() {} }, model: { name: "none", options: {}, build() {} } } as never;\n';
const plainNeeds = needs.replace(" as never", "");

/** Tells the process which instances it got. */
export const sharing = `${needs}
  import { TrainerError, defineConfig } from "fitloop";
  import * as tf from "@tensorflow/tfjs-core";
  (globalThis as { seen?: unknown }).seen = { TrainerError, engine: tf.engine() };
  const epochs: number = 3;
  export default defineConfig({ ...(rest as object), epochs } as never);
`;

/** A whole config, with its plugins from line 4 on. */
const whole = (
  plugins: string,
  more = "learningRate: 0.1",
  data = "shapes()",
): string => `import { cutmix, l2, labelSmoothing } from "fitloop/plugins";
import { resnet18 } from "fitloop/models"; import { imageFolder, shapes } from "fitloop/data";
export default { plugins: [
  ${plugins},
],
  ${more}, epochs: 1, data: ${data}, model: resnet18()
};
`;

interface Case {
  text: string;
  gives?: unknown;
  says?: RegExp;
  code?: string;
  /** What it says comes from Node's own loader of modules, which a test runner replaces. */
  native?: true;
}

/** Path in the folder -> its text, and what loading it says: a config or an error's message. */
export const cases: Record<string, Case> = {
  "module/typescript.ts": { text: sharing, gives: { epochs: 3 } },
  "module/module.mts": { text: sharing, gives: { epochs: 3 } },
  "module/javascript.js": { text: `${plainNeeds}export default { ...rest, epochs: 2 };`, gives: { epochs: 2 } },
  "module/javascript.mjs": { text: `${plainNeeds}export default { ...rest, epochs: 2 };`, gives: { epochs: 2 } },
  "module/function.ts": { text: `${plainNeeds}export default () => ({ ...rest, epochs: 4 });`, gives: { epochs: 4 } },
  "module/later.ts": {
    text: `${plainNeeds}const wait = () => new Promise((done) => setTimeout(done, 5));\nexport default async () => (await wait(), { ...rest, epochs: 5 });`,
    gives: { epochs: 5 },
  },
  "module/promise.ts": {
    native: true,
    text: `${plainNeeds}export default Promise.resolve({ ...rest, epochs: 6 });`,
    gives: { epochs: 6 },
  },
  "module/odd # \"name' %20 ü.ts": { text: sharing, gives: { epochs: 3 }, native: true },
  "module/what?.ts": { text: sharing, gives: { epochs: 3 } },
  "module/back\\slash.mjs": { text: `${plainNeeds}export default { ...rest, epochs: 2 };`, gives: { epochs: 2 } },
  "common/module.mts": { text: sharing, gives: { epochs: 3 } },
  "common/typescript.ts": { text: sharing, gives: { epochs: 3 } },
  "common/javascript.js": { text: `${plainNeeds}export default { ...rest, epochs: 2 };`, gives: { epochs: 2 } },
  "common/module.cts": { text: sharing, gives: { epochs: 3 } },
  "common/common.cjs": {
    text: `const { sep } = require("node:path");\n${plainNeeds}module.exports = { ...rest, epochs: sep.length + 1 };`,
    gives: { epochs: 2 },
  },
  "common/script.js": { text: `${plainNeeds}module.exports = { ...rest, epochs: 2 };`, gives: { epochs: 2 } },
  "bare/typescript.ts": { text: sharing, gives: { epochs: 3 } },
  "bare/windows.mts": { text: `\uFEFF${sharing.replaceAll("\n", "\r\n")}`, gives: { epochs: 3 } },

  // Local files come along, each with its own place.
  "module/parts/epochs.ts": {
    text: 'import { readFileSync } from "node:fs";\nimport { join } from "node:path";\nimport more from "./more.json";\nexport const place = import.meta.dirname;\nexport const epochs: number = Number(readFileSync(new URL("number.txt", import.meta.url), "utf8")) + more.epochs;\nexport const same = join(__dirname, "epochs.ts") === import.meta.filename;',
    says: /has no default export/,
  },
  "module/imports.ts": {
    text: `${needs}import { epochs, place, same } from "./parts/epochs.js";\nif (!place.endsWith("parts") || !same || place === import.meta.dirname) throw new Error(place);\nexport default { ...(rest as object), epochs };`,
    gives: { epochs: 12 },
  },
  "module/parts/throws.ts": {
    text: 'export type Gone = 1;\n\nexport const fail = (): never => {\n  throw new Error("from beside");\n};',
    says: /has no default export/,
  },
  "module/imports-throws.ts": {
    text: 'import { fail } from "./parts/throws";\nexport default fail();',
    says: /imports-throws\.ts \(\S+parts\/throws\.ts, line 4\) cannot be used: from beside\.$/,
  },

  "module/no-default.ts": {
    text: "export const config = {};",
    says: /has no default export\. Write `export default/,
  },
  "module/nothing.ts": {
    text: "export default () => undefined;",
    says: /the function it exports returned nothing/,
  },
  "module/text.ts": {
    text: 'export default "epochs";',
    says: /expected a config or a function .*, got "epochs"/,
  },
  "module/list.ts": { text: "export default [1];", says: /expected a config or a function .*, got \[1\]/ },
  "module/throws.ts": {
    text: 'interface Gone { a: 1 }\n\nconst fail = (): never => {\n  throw new Error("no luck");\n};\nexport default fail();',
    says: /throws\.ts \(line 4\) cannot be used: no luck\./,
  },
  "module/throws-later.ts": {
    text: 'export default async () => {\n  await null;\n  throw new Error("late trouble");\n};',
    says: /throws-later\.ts \(line 3\) cannot be used: late trouble\./,
  },
  "module/throws-text.ts": { text: 'throw "words";', says: /it threw "words"\./ },
  "module/syntax.ts": {
    text: "export default {\n  epochs: 1\n  seed: 2,\n};",
    says: /syntax\.ts \(line 3\) cannot be loaded: Expected "}" but found "seed"\./,
  },
  "module/syntax.mjs": {
    text: "export default {\n  epochs: 1\n  seed: 2,\n};",
    says: /syntax\.mjs \(line 3\) cannot be loaded/,
  },
  "module/never.ts": {
    text: "export default () => new Promise(() => {});",
    says: /the function it exports took longer than/,
  },
  "module/never-loads.ts": {
    text: "await new Promise(() => {});\nexport default {};",
    says: /loading it took longer than/,
  },
  "module/prints.ts": {
    text: `${plainNeeds}console.log("hello");\nprocess.stdout.write("there");\nexport default () => (console.log("again"), { ...rest, epochs: 8 });`,
    gives: { epochs: 8 },
  },
  "module/type-error.ts": {
    text: "const none = undefined as unknown as { deep: object };\n\nexport default none.deep;",
    says: /type-error\.ts \(line 3\) cannot be used: Cannot read properties of undefined \(reading 'deep'\)\./,
  },
  "module/throws-nothing.ts": { text: "throw undefined;", says: /it threw undefined\./ },
  "module/throws-frozen.ts": {
    text: 'throw Object.freeze(new Error("cold"));',
    says: /throws-frozen\.ts \(line 1\) cannot be used: cold\./,
  },
  "module/empty.ts": { text: "\n", says: /empty\.ts is empty\.$/ },
  "module/leaves.ts": {
    text: "\nprocess.exit(0);\nexport default {};",
    says: /leaves\.ts \(line 2\).*it called process\.exit\(0\)/,
  },
  "module/prototype.ts": {
    text: `export default JSON.parse('{ "__proto__": { "polluted": true } }');`,
    says: /a key "__proto__" or "constructor", which no config needs/,
  },
  "module/constructor.ts": {
    text: "export default { constructor: Object };",
    says: /a key "__proto__" or "constructor"/,
  },
  "module/no-package.ts": {
    text: 'import "no-such-package";\nexport default {};',
    says: /no-package\.ts \(line 1\) cannot be loaded: Could not resolve "no-such-package"\.$/,
  },
  "module/no-export.ts": {
    text: 'import { labelSmothing } from "fitloop/plugins";\nimport { cifar } from "fitloop/datas";\nexport default labelSmothing(cifar);',
    says: /no-export\.ts \(line 2\) cannot be loaded: there is no "fitloop\/datas" \(did you mean "fitloop\/data"\?\)\.$/,
  },
  "module/no-name.ts": {
    text: 'import { labelSmothing } from "fitloop/plugins";\nexport default labelSmothing();',
    says: /no-name\.ts \(line 1\) cannot be loaded: "fitloop\/plugins" exports no "labelSmothing" \(did you mean "labelSmoothing"\?\)\.$/,
  },
  "module/option.ts": {
    text: whole("labelSmoothing({ smothing: 1 } as never)"),
    code: "ERR_OPTION",
    says: /^In \S+option\.ts: Plugin "label-smoothing": unknown option "smothing" \(did you mean "smoothing"\?\)\.$/,
  },
  "module/options.ts": {
    text: whole(
      "labelSmoothing({ smothing: 1 } as never),\n  cutmix(7 as never),\n  l2({ decay: -1 })",
      "learningRate: 0, seeed: 1",
      "imageFolder({ size: 4 } as never)",
    ),
    code: "ERR_OPTION",
    says: new RegExp(
      [
        /^In \S+options\.ts: There are mistakes in 5 places\./,
        /- The config: "learningRate" expected number to be >0, got 0; unknown option "seeed" \(did you mean "seed"\?\)\./,
        /- Data "imageFolder": "path" .*"size".*/,
        /- Plugin "label-smoothing": unknown option "smothing" \(did you mean "smoothing"\?\)\./,
        /- Plugin "cutmix": expected object, got 7\./,
        /- Plugin "l2": "decay" expected number to be >=0, got -1\.$/,
      ]
        .map(({ source }) => source)
        .join("\n"),
    ),
  },
  "module/config.json": {
    text: "{}",
    says: /has an unknown ending: expected \.ts, \.mts, \.cts, \.js, \.mjs or \.cjs\.$/,
  },

  "module/project/trainer.config.ts": {
    text: `${plainNeeds}export default { ...rest, epochs: 7 };`,
    gives: { epochs: 7 },
  },
  "module/project/blank/trainer.config.ts": { text: "", says: /is empty\.$/ },
  "module/project/run/trainer.config.ts": {
    text: `${plainNeeds}export default { ...rest, epochs: 9 };`,
    gives: { epochs: 9 },
  },
};
/** Where the search begins -> what it must find. */
export const searches: Record<string, string | RegExp> = {
  "module/project/": "module/project/trainer.config.ts",
  "module/project/deeper/": "module/project/trainer.config.ts",
  "module/project/blank/": /blank\/trainer\.config\.ts is empty\./,
  "module/project/run/": /run\/trainer\.config\.ts is in the folder of a run, .* Pass it with --config/,
  "other/": /^No config found\. .* \S+other\/trainer\.config\.json is not read: expected TypeScript or JavaScript/,
  "common/":
    /^No config found\. Pass --preset or --config, or add trainer\.config\.ts to .*`trainer presets` for the list\.$/,
};

/** Writes them all: beside a package that is this one, and in "bare" without any package, as linked layouts have it. */
export function writeConfigs(folder: string): void {
  for (const [name, type] of [
    ["module", "module"],
    ["common", "commonjs"],
  ] as const) {
    mkdirSync(join(folder, name, "node_modules"), { recursive: true });
    writeFileSync(join(folder, name, "package.json"), JSON.stringify({ type }));
    symlinkSync(root, join(folder, name, "node_modules", "fitloop"));
    symlinkSync(join(root, "node_modules", "@tensorflow"), join(folder, name, "node_modules", "@tensorflow"));
  }
  for (const name of [
    "module/project/deeper",
    "module/project/blank",
    "module/project/run",
    "module/parts",
    "bare",
    "other",
  ])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "module", "project", "run", "config.resolved.json"), "{}");
  writeFileSync(join(folder, "module", "parts", "number.txt"), "7");
  writeFileSync(join(folder, "module", "parts", "more.json"), '{ "epochs": 5 }');
  writeFileSync(join(folder, "bare", "package.json"), '{ "type": "mod'); // cut; no module of ours reads it
  writeFileSync(join(folder, "other", "trainer.config.json"), "{}");
  for (const [name, { text }] of Object.entries(cases)) writeFileSync(join(folder, name), text);
}
