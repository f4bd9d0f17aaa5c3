/** `trainer data verify`: reads and checks every image of a data set. `data preview` has its own file. */
import { type Command, Option } from "commander";
import { dataSource, formatVerify, verifyData } from "../core/data/index.js";
import { toJson } from "../run/json.js";
import { addDataCheck } from "./data-check.js";
import { whole } from "./options.js";
import { addPreview } from "./preview.js";
import { print, tell, tellWarning } from "./terminal.js";

/** Names on the command line -> names in configs. */
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
  const data = program.command("data").description("check a data set, preview augmentation");
  data
    .command("verify")
    .description("read every image; check sizes, labels, counts, damage and duplicates")
    .option("--data <path>", "archive, folder or CSV; default for CIFAR: download the archive")
    .addOption(new Option("--kind <name>", "kind of data set").choices(Object.keys(kinds)).default("cifar100"))
    .option("--size <pixels>", "read image folders at this size", whole(8), 224)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  trainer data verify --kind image-folder --data photos")
    .action(async ({ data: path, kind, size, json }: VerifyOptions) => {
      const place = path !== undefined ? { path } : kind.startsWith("cifar") ? { download: true } : {};
      const options = { ...place, ...(kind === "image-folder" ? { size, validateAll: false } : {}) };
      const report = await verifyData(dataSource(kinds[kind], options), { log: tell, warn: tellWarning });
      print(json ? toJson(report) : formatVerify(report));
    });
  addDataCheck(data);
  addPreview(data);
}
