/** The reference of the package's entries, from their types and doc comments. */

import { join } from "node:path";
import ts from "typescript";
import { plugins } from "../../plugins/index.js";
import { presets } from "../../presets/index.js";

const root = join(import.meta.dirname, "../..");

/** What a program imports, its source, and what is in it. */
const entries = [
  ["fitloop", "run/index.ts", "Training, runs, configs, plugins, layers, and their types."],
  ["fitloop/models", "core/models/index.ts", "Networks. Their weights have PyTorch's names."],
  ["fitloop/data", "core/data/index.ts", "Data sets, and the loader that makes batches of them."],
  ["fitloop/export", "export/index.ts", "A run as a file for other runtimes."],
  ["fitloop/testing", "core/testing/index.ts", "Helpers for the tests of a plugin."],
] as const;

/** The page: a section for each entry, and in it one for each name. */
export function apiPage(): string {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const files = entries.map(([, file]) => join(root, file));
  const program = ts.createProgram(files, options);
  const checker = program.getTypeChecker();
  const shown = new Map<ts.Symbol, string>();
  const sections = entries.map(([name, , summary], place) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(files[place]!)!)!;
    const items = exportsOf(checker, module).map(([exported, symbol]) => {
      const before = shown.get(symbol);
      if (before === undefined) shown.set(symbol, name);
      return before === undefined
        ? item(checker, exported, symbol)
        : `### ${exported}\n\nThe same as \`${exported}\` of \`${before}\`.`;
    });
    return [`## ${name}`, summary, ...items].join("\n\n");
  });
  const factories = Object.entries(plugins).map(
    ([name, { definition }]) => `| [${name}](../plugins/${name}/README.md) | ${definition.summary} |`,
  );
  const recipes = Object.entries(presets).map(([name, { summary }]) => `| ${name} | ${summary} |`);
  return [
    "# API",
    "Generated from types and doc comments by `npm run reference`. It lists every entry of the package.",
    ...sections,
    "## fitloop/plugins",
    "A factory for each plugin, named in camelCase, such as `cutmix({ alpha: 1 })`. `plugins` holds them by name. Cards list the options.",
    ["| plugin | what it does |", "| --- | --- |", ...factories].join("\n"),
    "## fitloop/presets",
    "`presets` holds the recipes by name. `presets.quickstart.create()` returns the config of one.",
    ["| preset | what it trains |", "| --- | --- |", ...recipes].join("\n"),
  ]
    .join("\n\n")
    .concat("\n");
}

/** The names that a module exports, in alphabetical order, with what each stands for. */
function exportsOf(checker: ts.TypeChecker, module: ts.Symbol): [name: string, symbol: ts.Symbol][] {
  return checker
    .getExportsOfModule(module)
    .map((each): [string, ts.Symbol] => [
      each.name,
      each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each,
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function item(checker: ts.TypeChecker, name: string, symbol: ts.Symbol): string {
  const parts = [`### ${name}`, documentation(checker, symbol)];
  const declaration = symbol.declarations![0]!;
  if (!ts.isSourceFile(declaration)) parts.push(block(declared(checker, name, symbol, declaration)));
  else if (declaration.fileName.includes("node_modules")) parts.push(`The package \`${packageOf(declaration)}\`.`);
  else parts.push(block(members(checker, symbol)));
  return parts.filter((part) => part !== "").join("\n\n");
}

/** A block of declarations. A tensor of any rank is called a tensor, as it is written in the sources. */
const block = (code: string): string => `\`\`\`ts\n${code.replaceAll("Tensor<Rank>", "Tensor")}\n\`\`\``;
const packageOf = ({ fileName }: ts.SourceFile): string =>
  /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(fileName.slice(fileName.lastIndexOf("node_modules")))![1]!;

/** The doc comment, and what its function throws. */
function documentation(checker: ts.TypeChecker, symbol: ts.Symbol): string {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const thrown = symbol
    .getJsDocTags(checker)
    .filter(({ name }) => name === "throws")
    .map((tag) => `Throws ${ts.displayPartsToString(tag.text)}.`.replace(/\.\.$/, "."));
  return [text, ...thrown].filter((part) => part !== "").join("\n\n");
}

/** A namespace's names with their types, one a line, each under its doc comment's first sentence. */
function members(checker: ts.TypeChecker, module: ts.Symbol): string {
  return exportsOf(checker, module)
    .map(([name, symbol]) => {
      const [first = ""] = ts.displayPartsToString(symbol.getDocumentationComment(checker)).split(/(?<=\.)\s/);
      const comment = first === "" ? "" : `// ${first.replaceAll("\n", " ")}\n`;
      return comment + declared(checker, name, symbol, symbol.declarations![0]!);
    })
    .join("\n");
}

const typeFormat = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope;

/** A declaration without its body. */
function declared(checker: ts.TypeChecker, name: string, symbol: ts.Symbol, node: ts.Declaration): string {
  if (ts.isInterfaceDeclaration(node)) return sourceOf(node);
  if (ts.isClassDeclaration(node)) return classOf(node);
  if (ts.isTypeAliasDeclaration(node)) {
    // A type that a schema gives is written out: its source would name the schema only.
    if (!/\btypeof\b|\bz\./.test(node.type.getText())) return sourceOf(node);
    const flags = typeFormat | ts.TypeFormatFlags.InTypeAlias | ts.TypeFormatFlags.MultilineObjectLiterals;
    return `type ${name} = ${checker.typeToString(checker.getDeclaredTypeOfSymbol(symbol), undefined, flags)};`;
  }
  const type = checker.getTypeOfSymbolAtLocation(symbol, node);
  const signatures = ts.isFunctionDeclaration(node) ? type.getCallSignatures() : [];
  if (signatures.length === 0) return `const ${name}: ${checker.typeToString(type, undefined, typeFormat)};`;
  return signatures
    .map((each) => `function ${name}${checker.signatureToString(each, undefined, typeFormat)};`)
    .join("\n");
}

/** The source of a type, with the comments of its members. */
const sourceOf = (node: ts.Declaration): string => node.getText().replace(/^export /, "");

/** A class's public members with their comments, without bodies. */
function classOf(node: ts.ClassDeclaration): string {
  const open = node.members.filter(
    (member) =>
      !ts.getCombinedModifierFlags(member) ||
      !(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.NonPublicAccessibilityModifier),
  );
  const lines = open.flatMap((member) => {
    if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return [];
    const body = "body" in member && member.body ? (member.body as ts.Node) : undefined;
    const value = ts.isPropertyDeclaration(member) ? member.initializer : undefined;
    const end = body?.getFullStart() ?? (value ? value.getFullStart() - 1 : member.getEnd());
    const text = node
      .getSourceFile()
      .text.slice(member.getFullStart(), end)
      .trim()
      .replace(/[\s=;]+$/, "");
    return `${text.replaceAll(/^(override|async) /gm, "")};`;
  });
  const heritage = node.heritageClauses?.map((clause) => ` ${clause.getText()}`).join("") ?? "";
  return `class ${node.name!.text}${heritage} {\n  ${lines.join("\n  ")}\n}`;
}
