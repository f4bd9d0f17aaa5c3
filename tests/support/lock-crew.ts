/** Processes that contend for a run's lock. */
import { type ChildProcess, fork } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect } from "vitest";
import { lockFile } from "../../run/lock.js";
import type { Answer, Order } from "./run-lock-process.js";

export interface Member {
  readonly process: ChildProcess;
  readonly pid: number;
  ask(order: Order): Promise<Answer>;
  /** Resolves with the exit code once it has ended; of a killed one, null. */
  readonly ended: Promise<number | null>;
}

/** Makes the program once, so that a member starts as fast as Node does. */
export async function buildMember(folder: string): Promise<() => Member> {
  const program = join(folder, "lock-process.mjs");
  const source = fileURLToPath(new URL("run-lock-process.ts", import.meta.url));
  await build({ entryPoints: [source], bundle: true, platform: "node", format: "esm", outfile: program });
  return () => {
    const child = fork(program, { execArgv: [] });
    const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
    return {
      process: child,
      pid: child.pid!,
      ended,
      ask(order) {
        const answer = new Promise<Answer>((resolve) => child.once("message", resolve));
        child.send(order);
        const death = ended.then((code) => {
          throw new Error(`It ended with ${code} and did not answer.`);
        });
        return Promise.race([answer, death]);
      },
    };
  };
}

/**
 * Lets all try at once, round after round: from nothing in the even rounds, and in the odd ones after a
 * holder whose number another process has now.
 */
export async function contend(crew: readonly Member[], folder: string, rounds: number): Promise<void> {
  const path = join(folder, lockFile);
  let lastHolder = "";
  for (const member of crew) await member.ask({ release: true }); // all have started
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 1) writeFileSync(path, lastHolder);
    const at = Date.now() + 20;
    const answers = await Promise.all(crew.map((member) => member.ask({ lock: folder, at })));
    const winners = crew.filter((_, index) => answers[index]!.locked);
    expect(winners.length, `winners of round ${round}`).toBe(1);
    const winner = winners[0]!;
    for (const { locked, exitCode, message, milliseconds, abandoned } of answers) {
      if (locked) expect(abandoned).toEqual(round % 2 === 1 ? sinceOf(lastHolder) : undefined);
      else expect([exitCode, message]).toEqual([75, expect.stringContaining(`process ${winner.pid} `)]);
      expect(milliseconds).toBeLessThan(1000);
    }
    const holder = JSON.parse(readFileSync(path, "utf8"));
    lastHolder = JSON.stringify({ ...holder, processStart: "1" });
    await winner.ask({ release: true });
    expect(readdirSync(folder)).toEqual([]);
  }
}

function sinceOf(content: string): { pid: number; since: string } {
  const { pid, since } = JSON.parse(content);
  return { pid, since };
}

/** Stops a process and waits until it has stopped. */
export async function stop({ process: child, pid }: Member): Promise<void> {
  child.kill("SIGSTOP");
  while (stateOf(pid) !== "T") await new Promise(setImmediate);
}

/** R running, S sleeping, T stopped, Z ended but not yet collected by its parent. */
export function stateOf(pid: number): string {
  const line = readFileSync(`/proc/${pid}/stat`, "utf8");
  return line[line.lastIndexOf(")") + 2]!;
}
