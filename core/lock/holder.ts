/** What a lock's file says: which process holds it. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type Fate, fateOf, thisProcess } from "./process.js";

const holderSchema = z.object({
  pid: z.int().positive(),
  processStart: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  host: z.string(),
  nonce: z.string(),
  since: z.iso.datetime(),
});
export type Holder = z.output<typeof holderSchema>;

/** The content of a lock that this process wants; never the same twice. */
export function ownContent(): string {
  const holder: Holder = { ...thisProcess(), nonce: randomUUID(), since: new Date().toISOString() };
  return `${JSON.stringify(holder)}\n`;
}

/** The holder that a lock's content names, and whether it lives. Content of another kind may be anybody's: "unknown". */
export function holderOf(content: string): { holder?: Holder; fate: Fate } {
  try {
    const holder = holderSchema.parse(JSON.parse(content));
    return { holder, fate: fateOf(holder) };
  } catch {
    return { fate: "unknown" };
  }
}

/** A holder as part of a sentence: `process 123 on host "a" since 2026-01-31T12:00:00.000Z`. */
export function describeHolder(holder: Holder | undefined): string {
  if (!holder) return "a process whose lock is damaged or just being written";
  const here = thisProcess();
  const { pid, host, since, pidNamespace } = holder;
  const container = pidNamespace === here.pidNamespace ? "" : " of another container";
  const where = host === here.host ? container : ` on host ${JSON.stringify(host)}`;
  return `process ${pid}${where} since ${since}`;
}
