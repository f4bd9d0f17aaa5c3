/** Which process of which group this is, as the program that started it says in its environment. Pure. */
import { TrainerError } from "../errors.js";

export interface Membership {
  readonly rank: number;
  /** `host:port` of every rank. */
  readonly addresses: readonly string[];
  /** Whether all ranks are on this machine; their ports are then closed to every other. */
  readonly loopback: boolean;
  /** Where rank and size come from: "torchrun", "SLURM". */
  readonly source: string;
}

export interface MembershipOptions {
  /** `host` or `host:port` of each rank, or `host` of each machine with as many ranks on each. */
  hosts?: readonly string[];
  /** Of the first rank on each machine; the next ones follow. */
  port: number;
  /** Whether TensorFlow's server, which has no authentication, may be reached from other machines. */
  insecureNetwork: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Found {
  readonly source: string;
  readonly rank: number;
  readonly size: number;
  /** Where the environment names them. */
  readonly hosts?: readonly string[];
}

/**
 * The membership that the environment says; undefined for a process that trains alone.
 *
 * @throws TrainerError ERR_OPTION for sources that contradict each other, addresses that nobody names, and for other machines
 *   without `insecureNetwork`
 */
export function membershipOf(env: Environment, options: MembershipOptions): Membership | undefined {
  const found = [torchrun(env), slurm(env), openMpi(env), tensorflow(env)].filter((each) => each !== undefined);
  const [first, ...others] = found;
  if (!first) return undefined;
  const { rank, size, source } = first;
  const other = others.find((each) => each.rank !== rank || each.size !== size);
  if (other) {
    throw new TrainerError(
      "ERR_OPTION",
      `The environment names two ranks: expected one, got rank ${rank} of ${size} (${source}) and rank ${other.rank} of ` +
        `${other.size} (${other.source}). Start the processes with one of the two, or unset the variables of the other.`,
    );
  }
  if (size === 1) return undefined;
  const hosts = listOf(env.FITLOOP_HOSTS) ?? options.hosts ?? found.find((each) => each.hosts)?.hosts;
  if (!hosts) {
    throw new TrainerError(
      "ERR_OPTION",
      `${source} names ${size} processes, but not the machines they are on. Pass --hosts with one name for each machine.`,
    );
  }
  const addresses = addressesOf(hosts, size, options.port);
  const loopback = addresses.every((address) => address.startsWith("127.0.0.1:"));
  if (!loopback && !options.insecureNetwork) {
    throw new TrainerError(
      "ERR_OPTION",
      `Training on several machines (${hosts.join(", ")}) opens a port of TensorFlow, which has no authentication: anyone who ` +
        "reaches it can read and write files as you. On a private network, behind the firewall rule of docs/distributed.md, " +
        "pass --insecure-network.",
    );
  }
  return { rank, addresses, loopback, source };
}

/** Rank r of n ranks: one host each, or the hosts in turn with as many ranks on each. */
function addressesOf(hosts: readonly string[], size: number, port: number): string[] {
  if (size % hosts.length !== 0 || hosts.length > size) {
    throw new TrainerError(
      "ERR_OPTION",
      `expected --hosts with one name for each of ${size} ranks, or for each machine with as many ranks on each, ` +
        `got ${hosts.length} names (${hosts.join(", ")}).`,
    );
  }
  const onEach = size / hosts.length;
  const seen = new Map<string, number>();
  const addresses = Array.from({ length: size }, (_, rank) => {
    mustBeName(hosts[Math.floor(rank / onEach)]!);
    const [, name = "", own] = /^(.*?)(?::(\d+))?$/.exec(hosts[Math.floor(rank / onEach)]!)!;
    const host = name === "localhost" ? "127.0.0.1" : name;
    const before = seen.get(host) ?? 0;
    seen.set(host, before + 1);
    return `${host}:${own === undefined ? port + before : Number(own) + (rank % onEach)}`;
  });
  const twice = addresses.find((address, at) => addresses.indexOf(address) !== at);
  if (twice === undefined) return addresses;
  throw new TrainerError("ERR_OPTION", `expected an address of its own for each rank, got ${twice} twice in --hosts.`);
}

/** @throws TrainerError ERR_OPTION for an IPv6 address, whose colons are none before a port */
function mustBeName(host: string): void {
  if (!host.includes("[") && host.split(":").length <= 2) return;
  throw new TrainerError("ERR_OPTION", `expected a name or an IPv4 address in --hosts, got ${host}.`);
}

const listOf = (text: string | undefined): string[] | undefined => text?.split(",").map((each) => each.trim());

const here = ["127.0.0.1"];

/** A pair of whole numbers; undefined where neither variable is there. @throws TrainerError ERR_OPTION */
function rankIn(env: Environment, source: string, rankName: string, sizeName: string): Found | undefined {
  if (env[rankName] === undefined || env[sizeName] === undefined) return undefined;
  const [rank, size] = [Number(env[rankName]), Number(env[sizeName])];
  if (Number.isInteger(rank) && Number.isInteger(size) && rank >= 0 && rank < size) return { source, rank, size };
  throw new TrainerError(
    "ERR_OPTION",
    `expected ${rankName} from 0 to below ${sizeName}, got ${rankName}=${env[rankName]} and ${sizeName}=${env[sizeName]}.`,
  );
}

/** torchrun, and whatever sets its variables. */
function torchrun(env: Environment): Found | undefined {
  const found = rankIn(env, "RANK and WORLD_SIZE", "RANK", "WORLD_SIZE");
  const local = env.LOCAL_WORLD_SIZE === env.WORLD_SIZE || ["127.0.0.1", "localhost"].includes(env.MASTER_ADDR ?? "");
  return found && { ...found, hosts: local ? here : undefined };
}

function openMpi(env: Environment): Found | undefined {
  const found = rankIn(env, "Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
  const local = env.OMPI_COMM_WORLD_LOCAL_SIZE === env.OMPI_COMM_WORLD_SIZE;
  return found && { ...found, hosts: local ? here : undefined };
}

/** A step of SLURM (srun). A batch script itself is none: it has no SLURM_STEP_NUM_TASKS. */
function slurm(env: Environment): Found | undefined {
  const found = rankIn(env, "SLURM", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS");
  if (!found || env.SLURM_STEP_NODELIST === undefined) return found;
  const nodes = nodesOf(env.SLURM_STEP_NODELIST);
  if (nodes.length === 1) return { ...found, hosts: here };
  if (env.SLURM_DISTRIBUTION?.startsWith("cyclic")) {
    throw new TrainerError(
      "ERR_OPTION",
      `expected ranks that follow each other on each node, got SLURM_DISTRIBUTION=${env.SLURM_DISTRIBUTION}. ` +
        "Pass --distribution=block to srun.",
    );
  }
  const tasks = tasksPerNode(env.SLURM_STEP_TASKS_PER_NODE ?? String(found.size / nodes.length));
  return { ...found, hosts: nodes.flatMap((node, at) => new Array<string>(tasks[at] ?? tasks.at(-1)!).fill(node)) };
}

/** `gpu[01-03,7],login` as names. */
export function nodesOf(list: string): string[] {
  return (list.match(/[^,[]+(\[[^\]]*\])?[^,[]*/g) ?? []).flatMap((part) => {
    const [, before = "", ranges, after = ""] = /^([^[]*)(?:\[([^\]]*)\])?(.*)$/.exec(part)!;
    if (ranges === undefined) return [part];
    return ranges.split(",").flatMap((range) => {
      const [from = "", to = from] = range.split("-");
      const count = Number(to) - Number(from) + 1;
      const name = (n: number): string => before + String(Number(from) + n).padStart(from.length, "0") + after;
      return Array.from({ length: count }, (_, n) => name(n));
    });
  });
}

/** `2(x3),1` as [2, 2, 2, 1]. */
const tasksPerNode = (text: string): number[] =>
  text.split(",").flatMap((part) => {
    const [, tasks, times = "1"] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    return new Array<number>(Number(times)).fill(Number(tasks));
  });

/** TensorFlow's own variable: a cluster of workers, with a chief before them or without. */
function tensorflow({ TF_CONFIG: text }: Environment): Found | undefined {
  if (text === undefined) return undefined;
  const refuse = (cause?: unknown): never => {
    throw new TrainerError(
      "ERR_OPTION",
      `expected TF_CONFIG as {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, got ${text}.`,
      { cause },
    );
  };
  try {
    const { cluster, task } = JSON.parse(text) as {
      cluster: { chief?: string[]; worker?: string[] };
      task: { type: string; index: number };
    };
    const chiefs = cluster.chief ?? [];
    const hosts = [...chiefs, ...(cluster.worker ?? [])];
    const rank = task.type === "chief" ? task.index : chiefs.length + task.index;
    if (!["chief", "worker"].includes(task.type) || !(rank >= 0 && rank < hosts.length)) return refuse();
    return { source: "TF_CONFIG", rank, size: hosts.length, hosts };
  } catch (cause) {
    return cause instanceof TrainerError ? refuse() : refuse(cause);
  }
}
