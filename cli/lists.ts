/** `trainer presets` and `trainer plugins`. */
import { join } from "node:path";
import type { Command } from "commander";
import type { z } from "zod";
import { hasConfig, loadConfig } from "../core/config/load.js";
import { TrainerError } from "../core/errors.js";
import { definitionOf, type PluginDefinition } from "../core/loop/plugin.js";
import { show, suggestion } from "../core/options.js";
import { packageRoot } from "../core/package.js";
import { makePart } from "../core/parts.js";
import { plugins } from "../plugins/index.js";
import { type Figures, figures } from "../presets/figures.js";
import { presets } from "../presets/index.js";
import { nearPath } from "../run/folder.js";
import { print, table } from "./terminal.js";

function figuresOf(name: string): Pick<Figures, "top1" | "time"> {
  const { top1, time } = (figures as Readonly<Record<string, Figures>>)[name] ?? {};
  return { top1, time };
}

const definitions: ReadonlyMap<string, PluginDefinition<z.ZodObject>> = new Map(
  Object.entries(plugins).map(([name, factory]) => [
    name,
    factory.definition as unknown as PluginDefinition<z.ZodObject>,
  ]),
);

const accuracy = ({ mean, deviation, seeds }: NonNullable<Figures["top1"]>): string =>
  `${mean.toFixed(1)}${seeds.length === 1 ? "" : ` ± ${deviation.toFixed(1)}`} %`;

export function addLists(program: Command): void {
  program
    .command("presets")
    .description("list the built-in recipes and their accuracy")
    .option("--json", "print JSON")
    .action(({ json }: { json?: boolean }) => {
      const rows = Object.entries(presets).map(([name, { summary }]) => ({ name, summary, ...figuresOf(name) }));
      const line = ({ name, top1, summary }: (typeof rows)[number]): string =>
        `${name.padEnd(22)}${(top1 ? accuracy(top1) : "").padEnd(14)}${summary}`;
      const note = "Accuracy: test top-1 over seeds. docs/presets.md has machines and times.";
      print(json ? JSON.stringify(rows) : [...rows.map(line), "", note].join("\n"));
    });
  program
    .command("plugins [name]")
    .description("list the plugins, or the options of one: a built-in one, or one of your config's")
    .summary("list the plugins, or the options of one")
    .option("--config <file>", "the config that has the plugin; default: trainer.config.ts here or above")
    .option("--json", "print JSON")
    .action(async (name: string | undefined, { json, config: file }: { json?: boolean; config?: string }) => {
      if (name === undefined) {
        const rows = [...definitions.values()].map((definition) => ({
          name: definition.name,
          summary: definition.summary,
        }));
        print(json ? JSON.stringify(rows) : rows.map((row) => `${row.name.padEnd(26)}${row.summary}`).join("\n"));
        return;
      }
      const { definition, rows, place } = await described(name, file);
      const { summary } = definition;
      print(json ? JSON.stringify({ name, summary, options: rows }) : describe({ name, summary }, rows, place));
    });
}

interface Described {
  readonly definition: Pick<PluginDefinition<z.ZodObject>, "summary">;
  readonly rows: OptionRow[];
  /** Where to read more. */
  readonly place: string;
}

/** A built-in plugin, or else one of the config's. @throws TrainerError ERR_UNKNOWN_NAME */
async function described(name: string, file: string | undefined): Promise<Described> {
  const builtIn = definitions.get(name);
  const loaded = file !== undefined || (!builtIn && (await hasConfig())) ? await loadConfig(file) : undefined;
  const own = (loaded?.config.plugins ?? []).map(makePart);
  const plugin = own.find((each) => each.name === name);
  const definition = plugin ? definitionOf(plugin) : builtIn;
  const place = `defined in: ${loaded?.file}`;
  if (definition) return { definition, rows: optionRows(definition), place: builtIn ? cardOf(name) : place };
  if (plugin) {
    const rows = Object.entries(plugin.options).map(([key, value]) => ({ name: key, default: value, description: "" }));
    return { definition: { summary: "written by hand; these are its options" }, rows, place };
  }
  const names = [...new Set([...definitions.keys(), ...own.map((each) => each.name)])];
  throw new TrainerError(
    "ERR_UNKNOWN_NAME",
    `Unknown plugin "${name}"${suggestion(name, names)}. \`trainer plugins\` lists those that are built in.`,
  );
}

/** The card of a built-in plugin, in a checkout and in an installed package. */
function cardOf(name: string): string {
  return `card: ${nearPath(join(packageRoot(), "plugins", name, "README.md"))}`;
}

interface OptionRow {
  name: string;
  default: unknown;
  description: string;
}

function optionRows({ options }: PluginDefinition<z.ZodObject>): OptionRow[] {
  return Object.entries(options.shape).map(([name, schema]) => {
    const parsed = (schema as z.ZodType).safeParse(undefined);
    return {
      name,
      default: parsed.success ? parsed.data : undefined,
      description: (schema as z.ZodType).description ?? "",
    };
  });
}

function describe({ name, summary }: { name: string; summary: string }, rows: OptionRow[], place: string): string {
  const cells = rows.map((row) => [`  ${row.name}`, row.default === undefined ? "" : show(row.default)]);
  const left = table([["  option", "default"], ...cells], "", Number.POSITIVE_INFINITY).split("\n");
  const lines = left.map((line, index) =>
    index === 0 ? line : `${line.padEnd(left[0]!.length)}   ${rows[index - 1]!.description}`.trimEnd(),
  );
  return [`${name}: ${summary}`, "", ...(rows.length > 0 ? lines : ["  no options"]), "", place].join("\n");
}
