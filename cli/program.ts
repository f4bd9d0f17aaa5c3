/** The commands of `trainer`, one file each. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Argument, Command } from "commander";
import { imageEnding } from "../core/data/image-formats.js";
import { isLabelFile } from "../core/data/label-file.js";
import { TrainerError } from "../core/errors.js";
import { suggestion } from "../core/options.js";
import { packageVersion } from "../core/package.js";
import { runFiles } from "../run/files.js";
import { addAblate } from "./ablate.js";
import { addBackend } from "./backend.js";
import { addData } from "./data.js";
import { addEvaluate } from "./evaluate.js";
import { addExport } from "./export.js";
import { addFit } from "./fit.js";
import { addGradCam } from "./gradcam.js";
import { addInit } from "./init.js";
import { addLists } from "./lists.js";
import { addLrFind } from "./lr-find.js";
import { addPlan } from "./plan.js";
import { addPredict } from "./predict.js";
import { addProfile } from "./profile.js";
import { addReplay } from "./replay.js";
import { addCompare, addReport } from "./report.js";
import { addSweep } from "./sweep.js";

export function createProgram(): Command {
  const program = new Command("trainer")
    .description("Train image classifiers. Every technique is a plugin.")
    .version(packageVersion())
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "trainer: ")) })
    .configureHelp({ subcommandTerm })
    .addHelpText(
      "after",
      `
Start with:
  trainer --data photos              train on your own images
  trainer --preset quickstart        train a small network in 20 seconds
  trainer plan --preset quickstart   show that run without training
  trainer plugins                    list every technique
  trainer backend install            install TensorFlow, the fast backend

\`trainer COMMAND --help\` shows the options of a command.`,
    );
  program.commandsGroup("Train:");
  addFit(program);
  addPlan(program);
  addLrFind(program);
  addAblate(program);
  addSweep(program);
  addProfile(program);
  addLists(program);
  program.commandsGroup("Use a finished run:");
  addEvaluate(program);
  addPredict(program);
  addGradCam(program);
  addExport(program);
  addReport(program);
  addCompare(program);
  addReplay(program);
  program.commandsGroup("Set up:");
  addInit(program);
  addData(program);
  addBackend(program);
  program.helpCommand("help [command]", "show the help of a command");
  program.hook("preSubcommand", refuseUnknownCommand);
  for (const command of allCommands(program)) command.exitOverride().showSuggestionAfterError();
  return program;
}

/** A command and its arguments: every command has options, so `[options]` would say nothing. */
const subcommandTerm = (command: Command): string =>
  [command.name(), ...command.registeredArguments.map(argumentTerm)].join(" ");

function argumentTerm(argument: Argument): string {
  const name = argument.name() + (argument.variadic ? "..." : "");
  return argument.required ? `<${name}>` : `[${name}]`;
}

/** commander would pass a mistyped command to the default command as an argument, and `fit` takes none. */
function refuseUnknownCommand({ args: [first, second], commands }: Command, chosen: Command): void {
  if (chosen.name() !== "fit" || first === undefined || first.startsWith("-")) return;
  const names = commands.flatMap((command) => [command.name(), ...command.aliases()]);
  if (names.includes(first)) {
    const advice = second === undefined || second.startsWith("-") ? undefined : ownFile(second);
    if (advice === undefined) return;
    throw new TrainerError("ERR_OPTION", `\`trainer ${first}\` takes options only, got "${second}"${advice}`);
  }
  const advice = ownFile(first) ?? `${suggestion(first, names)}. \`trainer --help\` lists the commands.`;
  throw new TrainerError("ERR_UNKNOWN_NAME", `Unknown command "${first}"${advice}`);
}

/** What a file or folder in the place of a command was perhaps meant for. */
function ownFile(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  if (/\.[cm]?[jt]s$/.test(path)) return `. To train this config: trainer --config ${path}`;
  if (imageEnding.test(path)) return `. To classify this image: trainer predict RUN ${path}`;
  if (existsSync(join(path, runFiles.config))) {
    return `. It is a run. To resume it: trainer --resume ${path}; to classify images: trainer predict ${path} IMAGE`;
  }
  if (!statSync(path).isDirectory() && !isLabelFile(path)) return undefined;
  return `. To train on these images: trainer --data ${path}`;
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}
