/** The reference of the command line, from commander's descriptions of it. */

import { type Command, Help } from "commander";

const help = new Help();

/** The page: a list of commands, then a section for each. */
export function commandLinePage(program: Command): string {
  const commands = leaves(program);
  return [
    "# Command line",
    "Generated from the program by `npm run reference`. `trainer COMMAND --help` shows the same.",
    table(
      ["command", "what it does"],
      commands.map(([path, command]) => [`[${path}](#${path.replaceAll(" ", "-")})`, command.description()]),
    ),
    ...commands.map(([path, command]) => section(path, command)),
  ]
    .join("\n\n")
    .concat("\n");
}

/** The commands that do something, with their full names: groups such as `trainer data` only hold others. */
function leaves(command: Command, path = command.name()): [path: string, command: Command][] {
  const visible = help.visibleCommands(command).filter((each) => each.name() !== "help");
  if (visible.length === 0) return [[path, command]];
  return visible.flatMap((each) => leaves(each, `${path} ${each.name()}`));
}

function section(path: string, command: Command): string {
  const given = command.registeredArguments.map((each) => {
    const name = each.name() + (each.variadic ? "..." : "");
    return each.required ? ` <${name}>` : ` [${name}]`;
  });
  const options = help.visibleOptions(command).filter((option) => option.long !== "--help");
  const rows = options.map((option) => [`\`${option.flags}\``, help.optionDescription(option)]);
  const more = textAfter(command);
  return [
    `## ${path}`,
    `${sentence(command.description())}`,
    `\`\`\`\n${path} [options]${given.join("")}\n\`\`\``,
    ...(rows.length > 0 ? [table(["option", "meaning"], rows)] : []),
    ...(more === "" ? [] : [`\`\`\`text\n${more}\n\`\`\``]),
  ].join("\n\n");
}

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

/** What the help of a command says below its options. commander hands it out by printing only. */
function textAfter(command: Command): string {
  let printed = "";
  const { writeOut } = command.configureOutput();
  command.configureOutput({ writeOut: (text) => void (printed += text) });
  command.outputHelp();
  command.configureOutput({ writeOut });
  return printed.slice(command.helpInformation().length).trim();
}

/** Rows of Markdown. A bar in a cell would end it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll(/\s*\n\s*/g, " ").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
