/** `trainer backend install|status`. */
import type { Command } from "commander";
import { installBackend } from "../core/backend/install/install.js";
import { toJson } from "../run/json.js";
import { tell } from "./terminal.js";

export function addBackend(program: Command): void {
  const backend = program.command("backend").description("install or inspect TensorFlow, the fast backend");
  backend
    .command("install")
    .description("install TensorFlow into your cache (274 MB download, 0.9 GB on disk)")
    .option("--gpu", "variant for NVIDIA GPUs (not tested on one yet)")
    .option("--from <wheel>", "use this TensorFlow wheel instead of downloading one")
    .addHelpText(
      "after",
      `
Needs Python 3 with pip and a C++ compiler. pip downloads the wheel, and uses
your mirror settings. The compiler builds the binding between Node and
TensorFlow (98 kB). Python is not used after the installation.`,
    )
    .action(async ({ gpu, from }: { gpu?: boolean; from?: string }) => {
      await installBackend({ gpu, from, log: tell });
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
