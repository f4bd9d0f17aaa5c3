/** `trainer data verify`: reads and checks every picture of a data set; `data preview` has its own file. */
import { type Command, Option } from "commander";
import { dataSource, formatVerify, verifyData } from "../core/data/index.js";
import { toJson } from "../run/json.js";
import { whole } from "./options.js";
import { addPreview } from "./preview.js";
import { print, tell, tellWarning } from "./terminal.js";

/** Names on the command line -> names in records. */
const kinds = {
  cifar100: "cifar100",
  cifar10: "cifar10",
  "image-folder": "imageFolder",
  shapes: "shapes",
} as const;

interface VerifyOptions {
  data?: string;
  kind: keyof typeof kinds;
  size: number;
  json?: boolean;
}

export function addData(program: Command): void {
  const data = program.command("data").description("look at data sets");
  data
    .command("verify")
    .description("read and check every picture: sizes, labels, counts, damage, pictures in both splits")
    .option("--data <path>", "an archive or a folder; left out, CIFAR's official archive is downloaded")
    .addOption(new Option("--kind <name>", "what it is").choices(Object.keys(kinds)).default("cifar100"))
    .option("--size <pixels>", "image folders are read at this size", whole(8), 224)
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  trainer data verify --kind image-folder --data pictures")
    .action(async ({ data: path, kind, size, json }: VerifyOptions) => {
      const place = path !== undefined ? { path } : kind.startsWith("cifar") ? { download: true } : {};
      const options = { ...place, ...(kind === "image-folder" ? { size } : {}) };
      const report = await verifyData(dataSource(kinds[kind], options), { log: tell, warn: tellWarning });
      print(json ? toJson(report) : formatVerify(report));
    });
  addPreview(data);
}
