/** What a processor has instructions for. */
import { readFileSync } from "node:fs";

const names = ["amx_bf16", "avx512_bf16", "bf16"] as const; // the last one on Arm

/**
 * The instructions for bfloat16 that `/proc/cpuinfo` lists; none where there are none.
 *
 * @returns undefined where a system does not tell
 */
export function bfloat16Instructions(
  read: () => string = () => readFileSync("/proc/cpuinfo", "utf8"),
): string[] | undefined {
  let text: string;
  try {
    text = read();
  } catch {
    return undefined;
  }
  const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(" ");
  return flags && names.filter((name) => flags.includes(name));
}
