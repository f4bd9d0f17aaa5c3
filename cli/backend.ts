/** `trainer backend install|status|check`. */
import { type Command, Option } from "commander";
import type { BackendName } from "../core/backend/index.js";
import { installBackend } from "../core/backend/install/install.js";
import { exitCodes } from "../core/errors.js";
import { toJson } from "../run/json.js";
import { tell } from "./terminal.js";

export function addBackend(program: Command): void {
  const backend = program.command("backend").description("install or inspect TensorFlow, the fast backend");
  backend
    .command("install")
    .description("install TensorFlow into your cache (274 MB download, 0.9 GB on disk)")
    .option("--gpu", "variant for NVIDIA GPUs (3.3 GB download, 5.2 GB on disk; never run on one yet)")
    .option("--from <wheel>", "use this TensorFlow wheel instead of downloading one")
    .addHelpText(
      "after",
      `
Needs Python 3 with pip and a C++ compiler. pip downloads the wheel, and uses
your mirror settings. The compiler builds the binding between Node and
TensorFlow (98 kB). Python is not used after the installation.

macOS (arm64) and Windows (x64) have pinned wheels, but nobody has run them yet.
Windows needs Python 3.11 in PATH: TensorFlow's library there is linked to it.`,
    )
    .action(async ({ gpu, from }: { gpu?: boolean; from?: string }) => {
      await installBackend({ gpu, from, log: tell });
    });
  backend
    .command("check")
    .description("compare a backend's operations, gradients and a short training")
    .addOption(
      new Option("--backend <name>", "the backend to check; default: the best").choices(["tensorflow", "wasm"]),
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Each operation and each gradient is compared with its formula in double
precision, the losses of a short training with WebAssembly's. The exit code is
70 where something is wrong. Please send the table of an untried machine in.`,
    )
    .action(async ({ backend: name, json }: { backend?: BackendName; json?: boolean }) => {
      const { checkBackend, formatCheck } = await import("../core/check/check.js");
      const check = await checkBackend({ name, log: tell });
      process.stdout.write(`${json ? toJson(check) : formatCheck(check)}\n`);
      if (!check.ok) process.exitCode = exitCodes.plugin;
    });
  backend
    .command("status")
    .description("show version, devices, threads and cache, and why loading failed")
    .option("--verify", "check the checksum of every file")
    .option("--json", "print JSON")
    .action(async ({ verify, json }: { verify?: boolean; json?: boolean }) => {
      const { backendStatus, formatStatus } = await import("../core/backend/install/status.js");
      const status = await backendStatus({ verify });
      process.stdout.write(`${json ? toJson(status) : formatStatus(status)}\n`);
    });
}
