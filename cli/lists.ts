/** `trainer presets` and `trainer plugins`. */
import type { Command } from "commander";
import type { z } from "zod";
import { TrainerError } from "../core/errors.js";
import type { PluginDefinition } from "../core/loop/plugin.js";
import { show, suggestion } from "../core/options.js";
import { plugins } from "../plugins/index.js";
import { type Figures, figures } from "../presets/figures.js";
import { presets } from "../presets/index.js";
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
    .description("list the plugins, or the options of one")
    .option("--json", "print JSON")
    .action((name: string | undefined, { json }: { json?: boolean }) => {
      if (name === undefined) {
        const rows = [...definitions.values()].map((definition) => ({
          name: definition.name,
          summary: definition.summary,
        }));
        print(json ? JSON.stringify(rows) : rows.map((row) => `${row.name.padEnd(26)}${row.summary}`).join("\n"));
        return;
      }
      const definition = definitions.get(name);
      if (!definition) {
        throw new TrainerError(
          "ERR_UNKNOWN_NAME",
          `Unknown plugin "${name}"${suggestion(name, [...definitions.keys()])}. \`trainer plugins\` lists them.`,
        );
      }
      const rows = optionRows(definition);
      print(json ? JSON.stringify({ name, summary: definition.summary, options: rows }) : describe(definition, rows));
    });
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

function describe({ name, summary }: PluginDefinition<z.ZodObject>, rows: OptionRow[]): string {
  const cells = rows.map((row) => [`  ${row.name}`, row.default === undefined ? "" : show(row.default)]);
  const left = table([["  option", "default"], ...cells], "", Number.POSITIVE_INFINITY).split("\n");
  const lines = left.map((line, index) =>
    index === 0 ? line : `${line.padEnd(left[0]!.length)}   ${rows[index - 1]!.description}`,
  );
  return [
    `${name}: ${summary}`,
    "",
    ...(rows.length > 0 ? lines : ["  no options"]),
    "",
    `card: plugins/${name}/README.md`,
  ].join("\n");
}
