/** `trainer data verify`: reads and checks every image of a data set. `data preview` has its own file. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename } from "node:path";
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
  kind?: keyof typeof kinds;
  size: number;
  json?: boolean;
}

/** The kind of data set that a path holds: images, unless it has the names of a CIFAR set. */
function kindOf(path: string | undefined): keyof typeof kinds {
  if (path === undefined) return "cifar100";
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const names = isFolder ? readdirSync(path) : [basename(path)];
  if (names.some((name) => /^(data_batch_1|test_batch)\.bin$|^cifar-10-/.test(name))) return "cifar10";
  const isArchive = !isFolder && /\.(tar|tgz|gz)$/i.test(path);
  if (isArchive || names.some((name) => /^(train|test)\.bin$|^cifar-100-/.test(name))) return "cifar100";
  return "image-folder";
}

export function addData(program: Command): void {
  const data = program.command("data").description("check a data set, preview augmentation");
  data
    .command("verify")
    .description("read every image as training reads it; check sizes, labels, counts, damage and duplicates")
    .option("--data <path>", "archive, folder or CSV; without it, CIFAR is downloaded")
    .addOption(
      new Option("--kind <name>", "kind of data set; default: what --data holds, else cifar100").choices(
        Object.keys(kinds),
      ),
    )
    .option("--size <pixels>", "read image folders at this size", whole(8), 224)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
It verifies a data set of any kind: counts of each class, a fingerprint, channel
statistics, damaged images, and images that are in both splits. It writes no
file. \`trainer data check\` looks for what may be wrong with your own images:
copies, odd, dark and blurred images, wrong labels. It writes a page and a list.

Examples:
  trainer data verify --data photos
  trainer data verify --data cifar-100-binary.tar.gz`,
    )
    .action(async ({ data: path, kind = kindOf(path), size, json }: VerifyOptions) => {
      const place = path !== undefined ? { path } : kind.startsWith("cifar") ? { download: true } : {};
      const options = { ...place, ...(kind === "image-folder" ? { size, validateAll: false } : {}) };
      const report = await verifyData(dataSource(kinds[kind], options), { log: tell, warn: tellWarning });
      print(json ? toJson(report) : formatVerify(report));
    });
  addDataCheck(data);
  addPreview(data);
}
