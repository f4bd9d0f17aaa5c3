/** `trainer backend install|status`. */
import type { Command } from "commander";
import { installBackend } from "../core/backend/install/install.js";
import { toJson } from "../run/json.js";
import { tell } from "./terminal.js";

export function addBackend(program: Command): void {
  const backend = program.command("backend").description("the tensor backend: native TensorFlow, or WebAssembly");
  backend
    .command("install")
    .description("install a current TensorFlow into your cache (274 MB to fetch, 0.9 GB on disk)")
    .option("--gpu", "the variant for NVIDIA GPUs (not tried on one yet)")
    .option("--from <wheel>", "a TensorFlow wheel that is here already, instead of fetching it")
    .addHelpText(
      "after",
      `
Needs Python 3 with pip, which fetches the wheel and honours your mirror settings, and a C++ compiler, which
builds the 98 kB between Node and TensorFlow. Python is not used afterwards.`,
    )
    .action(async ({ gpu, from }: { gpu?: boolean; from?: string }) => {
      await installBackend({ gpu, from, log: tell });
    });
  backend
    .command("status")
    .description("which TensorFlow, devices, threads and cache; what was tried and why it failed")
    .option("--verify", "check every file's checksum")
    .option("--json", "as JSON")
    .action(async ({ verify, json }: { verify?: boolean; json?: boolean }) => {
      const { backendStatus, formatStatus } = await import("../core/backend/install/status.js");
      const status = await backendStatus({ verify });
      process.stdout.write(`${json ? toJson(status) : formatStatus(status)}\n`);
    });
}
