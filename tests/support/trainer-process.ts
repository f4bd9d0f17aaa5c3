/** The trainer in a process group of its own, for tests that kill it, stop it or lie to it; and what a run leaves. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";
import { readMetrics } from "../../run/metrics.js";

const program = fileURLToPath(new URL("../../bin/trainer.mjs", import.meta.url));
const config = fileURLToPath(new URL("process.config.ts", import.meta.url));
/** Of 64 images in batches of 8, two to a step, twelve epochs. */
export const steps = 48;

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** To the whole group; nothing where it has ended. */
  kill(signal: NodeJS.Signals): void;
  /** Resolves once so many lines of events have come, or it ended. */
  lines(count: number): Promise<void>;
}

const living = new Set<Started>();
afterAll(() => living.forEach((each) => each.kill("SIGKILL")));

/** What makes a run, or goes on with it: the command that is repeated until it ends with 0. */
export const command = (out: string, ...more: string[]): string[] => [
  process.execPath,
  program,
  ...["--config", config, "--backend", "wasm", "--out", out, "--resume", "--checkpoint-every", "1", "--json", ...more],
];

export function start(
  [file, ...args]: readonly string[],
  { env = {}, onLine }: { env?: NodeJS.ProcessEnv; onLine?: (line: string, count: number) => void } = {},
): Started {
  const child = spawn(file!, args, { detached: true, env: { ...process.env, ...env } });
  const written = { stdout: "", stderr: "" };
  let count = 0;
  let told = 0; // bytes of stdout whose lines have been counted
  const waiting: { count: number; resolve: () => void }[] = [];
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      written[name] += text;
      for (let end = written.stdout.indexOf("\n", told); end >= 0; end = written.stdout.indexOf("\n", told)) {
        onLine?.(written.stdout.slice(told, end), ++count);
        told = end + 1;
      }
      for (const each of waiting) if (count >= each.count) each.resolve();
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject); // a program that is not there fails the test
    child.on("close", (code, signal) => {
      living.delete(started);
      waiting.forEach(({ resolve: go }) => go());
      resolve({ code, signal, ...written });
    });
  });
  const started: Started = {
    child,
    ended,
    kill(signal) {
      try {
        process.kill(-child.pid!, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    },
    lines: (wanted) =>
      new Promise((resolve) => {
        if (count >= wanted || child.exitCode !== null) resolve();
        else waiting.push({ count: wanted, resolve });
      }),
  };
  living.add(started);
  return started;
}

/** Events of a process that may have been cut off in the middle of one. */
export const eventsOf = ({ stdout }: Ended): Record<string, unknown>[] =>
  stdout
    .slice(0, stdout.lastIndexOf("\n") + 1)
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** What a finished run must look like, whatever was done to it; and the hash of its weights and of all that it recorded. */
export function finished(out: string, count = steps): string {
  const { lines, problem } = readMetrics(join(out, "metrics.jsonl"));
  expect(problem).toBeUndefined();
  const kept = lines.filter(({ event }) => event === "step").map(({ step }) => step);
  expect(kept).toEqual(Array.from({ length: count }, (_, index) => index + 1));
  const hash = createHash("sha256").update(readFileSync(join(out, "weights.safetensors")));
  for (const { seconds, imagesPerSecond, ...line } of lines) {
    for (const figure of [seconds, imagesPerSecond]) if (figure !== undefined) expect(figure).toBeGreaterThanOrEqual(0);
    if (line.event !== "warning") hash.update(JSON.stringify(line));
  }
  const names = readdirSync(out, { recursive: true }) as string[];
  expect(names.filter((name) => name.includes(".tmp-") || name.includes("run.lock"))).toEqual([]);
  expect(existsSync(join(out, "metrics.jsonl.damaged"))).toBe(false);
  return hash.digest("hex");
}
