/** `--devices N`: starts the ranks of a group on this machine, and ends with them. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { exitCodes, TrainerError } from "../core/errors.js";
import { membershipOf } from "../core/group/membership.js";
import { stream } from "../core/rng.js";
import { isSameStop } from "./interrupt.js";
import { tell } from "./terminal.js";

/** Milliseconds to notice a lost rank, for rank 0 to write a last checkpoint, and for the others to end after it. */
const grace = { notice: 1_000, rank0: 60_000, others: 5_000 } as const;

/** Lines of a rank's output that are kept. */
const keptLines = 200;

interface Rank {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly ended: Promise<number>;
}

/**
 * Runs the command once for each device, as ranks of one group. Rank 0 has the terminal; of the others one sees why they failed.
 *
 * @param words the command line without the program's name
 * @returns the exit code of a rank that failed by itself; where none did, that of a lost rank
 */
export async function trainOnDevices(devices: number, words: readonly string[]): Promise<number> {
  const rank = membershipOf(process.env, { hosts: ["localhost"], port: 1024, insecureNetwork: true });
  if (rank) {
    throw new TrainerError(
      "ERR_OPTION",
      `--devices starts the processes itself, and this one is a rank already (${rank.source}). Remove one of the two.`,
    );
  }
  const gpus = visibleDevices(process.env.CUDA_VISIBLE_DEVICES, devices);
  const hosts = (await freePorts(devices)).map((port) => `127.0.0.1:${port}`).join();
  const command = words.filter(
    (word, at) => word !== "--devices" && words[at - 1] !== "--devices" && !word.startsWith("--devices="),
  );
  const ranks = Array.from({ length: devices }, (_, each) => startRank(each, gpus, hosts, command));
  const signals = passSignals(ranks);
  const failed = Promise.race(
    ranks.map(({ ended }) => ended.then((code) => (code === exitCodes.done ? new Promise<never>(() => {}) : code))),
  );
  const end = (): Promise<void> => endOthers(ranks, signals);
  void failed.then(end, end);
  const ends = await Promise.allSettled(ranks.map(({ ended }) => ended));
  signals.stop();
  const codes = ends.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value;
  });
  const causes = codes.filter(isCause);
  // Rank 0 has printed its own error.
  if (!isCause(codes[0]!)) codes.forEach((code, each) => explain(each, code, ranks[each]!));
  if (causes.length > 0) return causes[0]!;
  if (signals.passed() && codes[0] === exitCodes.sigterm) return exitCodes.sigterm; // the others may have lost it
  if (codes.some((code) => code === exitCodes.peer || code === killed)) return exitCodes.peer;
  return codes.find((code) => code !== exitCodes.done) ?? exitCodes.done;
}

/** Stands for a rank that a signal ended. */
const killed = -1;

/** Whether a rank failed by itself, not because another one did. */
const isCause = (code: number): boolean =>
  code !== exitCodes.done && code !== exitCodes.peer && code !== exitCodes.sigterm && code !== killed;

/**
 * CUDA_VISIBLE_DEVICES of each rank: one of those that the user gives; where nothing is given, the one with its number.
 *
 * @throws TrainerError ERR_OPTION for fewer than there are ranks
 */
export function visibleDevices(given: string | undefined, ranks: number): string[] {
  if (given === undefined) return Array.from({ length: ranks }, (_, rank) => String(rank));
  if (given === "" || given === "-1") return new Array<string>(ranks).fill(given); // no GPU
  const each = given.split(",");
  if (each.length >= ranks) return each.slice(0, ranks);
  throw new TrainerError(
    "ERR_OPTION",
    `expected CUDA_VISIBLE_DEVICES with a GPU for each of ${ranks} processes, got ${JSON.stringify(given)}. ` +
      `Name ${ranks} GPUs, unset it, or start fewer with --devices.`,
  );
}

function startRank(rank: number, gpus: readonly string[], hosts: string, words: readonly string[]): Rank {
  const { env } = process;
  const size = gpus.length;
  const threads = Math.max(1, Math.floor(availableParallelism() / size));
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...words], {
    detached: true, // a terminal's Ctrl-C comes to this process alone, which passes it on
    stdio: rank === 0 ? ["inherit", "inherit", "inherit", "ipc"] : ["ignore", "pipe", "pipe", "ipc"],
    env: {
      ...env,
      // Of a launcher that started this one process.
      SLURM_STEP_NUM_TASKS: undefined,
      OMPI_COMM_WORLD_SIZE: undefined,
      TF_CONFIG: undefined,
      RANK: String(rank),
      WORLD_SIZE: String(size),
      LOCAL_RANK: String(rank),
      LOCAL_WORLD_SIZE: String(size),
      MASTER_ADDR: "127.0.0.1",
      FITLOOP_HOSTS: hosts,
      TF_NUM_INTRAOP_THREADS: env.TF_NUM_INTRAOP_THREADS ?? String(threads),
      CUDA_VISIBLE_DEVICES: gpus[rank],
    },
  });
  const lines: string[] = [];
  for (const output of [child.stdout, child.stderr]) {
    let rest = "";
    output?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      lines.push(...parts);
      lines.splice(0, lines.length - keptLines);
    });
    output?.on("end", () => lines.push(rest));
  }
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", (cause) =>
      reject(new TrainerError("ERR_IO", `The process of rank ${rank} cannot be started: ${cause.message}.`, { cause })),
    );
    child.on("close", (code, signal) => resolve(code ?? (signal === "SIGTERM" ? exitCodes.sigterm : killed)));
  });
  return { child, lines, ended };
}

interface Signals {
  /** Whether rank 0 has one already. */
  passed(): boolean;
  stop(): void;
}

/**
 * The first signal goes to rank 0, which stops all in the same step. A second one ends all at once; a rank that hangs in native
 * code never sees it, and is killed.
 */
function passSignals(ranks: readonly Rank[]): Signals {
  let first: number | undefined;
  const pass = (signal: NodeJS.Signals): void => {
    if (first === undefined) {
      first = performance.now();
      ranks[0]!.child.kill(signal);
      return;
    }
    if (signal === "SIGHUP" || isSameStop(first)) return; // a closed terminal and `timeout` send two
    for (const { child } of ranks) child.kill(signal);
    void wait(grace.others).then(() => ranks.forEach(({ child }) => child.kill("SIGKILL")));
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, pass);
  return {
    passed: () => first !== undefined,
    stop: () => signals.forEach((signal) => process.off(signal, pass)),
  };
}

/** After a failure: one that is still loading ends at once, one that trains notices that a rank is lost. */
async function endOthers(ranks: readonly Rank[], signals: Signals): Promise<void> {
  const living = (): Rank[] => ranks.filter(({ child }) => child.exitCode === null && child.signalCode === null);
  await wait(grace.notice);
  // A second signal would end rank 0 without its checkpoint.
  for (const rank of living()) if (rank !== ranks[0] || !signals.passed()) rank.child.kill("SIGTERM");
  await Promise.race([ranks[0]!.ended.catch(() => {}), wait(grace.rank0)]);
  await wait(grace.others);
  for (const { child } of living()) child.kill("SIGKILL");
}

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds).unref());

/** What a rank beside rank 0 said when it failed. */
function explain(rank: number, code: number, { lines, child: { signalCode } }: Rank): void {
  if (code === killed) tell(`rank ${rank} was killed (${signalCode})`);
  else if (rank > 0 && code !== exitCodes.done && code !== exitCodes.sigterm) {
    for (const line of lines.filter((each) => each !== "")) tell(`rank ${rank}: ${line}`);
  }
}

/** Ports of this machine that nobody listens on, below those that systems hand out by themselves. */
async function freePorts(count: number): Promise<number[]> {
  const random = stream(process.pid, "ports");
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 20_000 + random.int(9_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
