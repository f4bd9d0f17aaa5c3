/** Processes that train together, and one that trains alone, each with one thread. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const script = fileURLToPath(new URL("group-scenarios.ts", import.meta.url));
const living = new Set<ChildProcess>();
afterAll(() => living.forEach((child) => child.kill("SIGKILL")));

/** Ports below those that systems hand out by themselves; each test file takes others. */
let port = 20_000 + ((process.pid * 37) % 9000);

export interface Rank {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>;
}

/** Variables of rank `rank` of `size` on this machine. */
export const rankVariables = (rank: number, size: number): NodeJS.ProcessEnv => ({
  RANK: String(rank),
  WORLD_SIZE: String(size),
  LOCAL_WORLD_SIZE: String(size),
});

/** New ports for a group. */
export const nextPort = (size: number): number => (port += size);

export function startProcess(command: readonly string[], env: NodeJS.ProcessEnv = {}): Rank {
  const child = spawn(process.execPath, command, {
    env: { ...process.env, TF_NUM_INTRAOP_THREADS: "1", TF_CPP_MIN_LOG_LEVEL: "3", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  living.add(child);
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (text: string) => void (written[name] += text));
  }
  const ended = new Promise<Awaited<Rank["ended"]>>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      living.delete(child);
      resolve({ code, signal, ...written });
    });
  });
  return { child, ended };
}

/** Scenario -> what it printed. */
export type Results = Record<string, Record<string, unknown>>;

async function results({ ended }: Rank): Promise<Results> {
  const { code, stdout, stderr } = await ended;
  if (code !== 0) throw new Error(`it ended with ${code}: ${stderr.slice(-2000)}`);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { name: string });
  return Object.fromEntries(lines.map(({ name, ...result }) => [name, result]));
}

/** The arguments of Node for some scenarios. */
export const scenarioCommand = (names: readonly string[]): string[] => ["--import", "tsx", script, ...names];

/** Runs scenarios in a group of so many processes; the results of each. */
export async function runGroup(
  size: number,
  names: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Results[]> {
  const PORT = String(nextPort(size));
  const ranks = Array.from({ length: size }, (_, rank) =>
    startProcess(scenarioCommand(names), { PORT, ...rankVariables(rank, size), ...env }),
  );
  return Promise.all(ranks.map(results));
}

/** Runs scenarios in a process that trains alone. */
export const runAlone = (names: readonly string[]): Promise<Results> => results(startProcess(scenarioCommand(names)));

/** How far two lists of weights are apart, relative to the first one's length. */
export function relativeDistance(a: Record<string, number[]>, b: Record<string, number[]>): number {
  const norm = (values: number[]): number => Math.hypot(...values);
  const [x, y] = [a, b].map((weights) => Object.values(weights).flat()) as [number[], number[]];
  return norm(x.map((value, at) => value - y[at]!)) / norm(x);
}
