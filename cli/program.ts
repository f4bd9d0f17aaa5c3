/** The commands of `trainer`, one file each. */
import { Command } from "commander";
import { packageVersion } from "../core/backend/install/native-sources.js";
import { TrainerError } from "../core/errors.js";
import { suggestion } from "../core/options.js";
import { addBackend } from "./backend.js";
import { addData } from "./data.js";
import { addEvaluate } from "./evaluate.js";
import { addFit } from "./fit.js";
import { addGradCam } from "./gradcam.js";
import { addLists } from "./lists.js";
import { addLrFind } from "./lr-find.js";
import { addPlan } from "./plan.js";
import { addPredict } from "./predict.js";
import { addProfile } from "./profile.js";
import { addReplay } from "./replay.js";
import { addCompare, addReport } from "./report.js";

export function createProgram(): Command {
  const program = new Command("trainer")
    .description("Train image classifiers: a small loop, and every technique a plugin.")
    .version(packageVersion())
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "trainer: ")) })
    .addHelpText(
      "after",
      `
Start with:
  trainer --preset quickstart        train something now
  trainer plan --preset quickstart   see what that will do
  trainer plugins                    every technique, a line each
  trainer backend install            the fast backend, once a machine`,
    );
  addFit(program);
  addPlan(program);
  addLrFind(program);
  addLists(program);
  addEvaluate(program);
  addPredict(program);
  addGradCam(program);
  addReport(program);
  addCompare(program);
  addReplay(program);
  addProfile(program);
  addData(program);
  addBackend(program);
  program.hook("preSubcommand", refuseUnknownCommand);
  for (const command of allCommands(program)) command.exitOverride().showSuggestionAfterError();
  return program;
}

/** commander would hand a mistyped command to the default one, which knows nothing of it. */
function refuseUnknownCommand({ args: [first], commands }: Command, chosen: Command): void {
  if (chosen.name() !== "fit" || first === undefined || first === "fit" || first.startsWith("-")) return;
  const names = commands.map((command) => command.name());
  throw new TrainerError("ERR_UNKNOWN_NAME", `There is no command "${first}"${suggestion(first, names)}.`);
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}
