/**
 * A group over TensorFlow's own collective runtime, the one under tf.distribute's MultiWorkerMirroredStrategy. Sums are a
 * ring over gRPC, in one order, so that they have the same bits in every process and at every call.
 */
import { createConnection } from "node:net";
import * as tf from "@tensorflow/tfjs-core";
import {
  type Attribute,
  currentNativeCalls,
  type NativeCalls,
  type OutputInfo,
} from "../backend/graph/native-calls.js";
import type { Backend } from "../backend/index.js";
import { reasonOf, TrainerError } from "../errors.js";
import type { Group } from "./group.js";
import type { Membership } from "./membership.js";
import { serverDef } from "./server-def.js";

export interface JoinOptions {
  /** How long a process may not answer before it counts as lost. */
  watchdogSeconds: number;
  /** How long to wait for the others at the start. */
  startSeconds: number;
}

/** What `core/backend/install/group.cc` adds to the addon. */
interface GroupCalls {
  watchPeers(rank: number, size: number, seconds: number): void;
  /** Why this process is in no group, or no longer; "" where nothing is wrong. */
  groupProblem(): string;
}

/** TensorFlow joins a cluster when it is loaded, and leaves it with the process: one group a process. */
let joined: { readonly group: Group; readonly addresses: string } | undefined;

/**
 * Makes this process a member. TensorFlow must not be loaded yet, since it joins while it loads.
 *
 * @throws TrainerError ERR_OPTION where the process is a member of another group, or TensorFlow is loaded
 */
export function joinGroup(membership: Membership, options: JoinOptions): Group {
  const addresses = membership.addresses.join();
  if (joined?.addresses === addresses) return joined.group;
  if (joined || tf.findBackend("tensorflow") !== null) {
    const why = joined ? `in the group of ${joined.addresses} already` : "using TensorFlow already";
    throw new TrainerError(
      "ERR_OPTION",
      `This process cannot join the group of ${addresses}: it is ${why}. Start a new process, and train first in it.`,
    );
  }
  const { env } = process;
  env.FITLOOP_SERVER_DEF = Buffer.from(serverDef(membership.addresses, membership.rank)).toString("hex");
  if (membership.loopback) env.FITLOOP_LOOPBACK = "1";
  env.TF_CPP_MIN_LOG_LEVEL ??= "3"; // a lost peer is an error of ours
  env.no_grpc_proxy = membership.addresses.map((address) => address.replace(/:\d+$/, "")).join(); // no proxy between ranks
  joined = { group: groupOf(membership, options), addresses };
  return joined.group;
}

function groupOf(membership: Membership, { watchdogSeconds, startSeconds }: JoinOptions): Group {
  const { rank, addresses } = membership;
  const size = addresses.length;
  let ready: Promise<void> | undefined;

  async function join(backend: Backend): Promise<void> {
    const native = currentNativeCalls() as (NativeCalls & Partial<GroupCalls>) | undefined;
    if (backend.name !== "tensorflow" || !native?.watchPeers) {
      const why = backend.name === "tensorflow" ? "an installation of TensorFlow on Linux" : "the tensorflow backend";
      throw new TrainerError(
        "ERR_BACKEND",
        `Training in ${size} processes needs ${why}, and this run has ${backend.name} on ${process.platform}. ` +
          "Install it (trainer backend install), or train in one process.",
      );
    }
    const problem = native.groupProblem!();
    if (problem !== "") {
      throw new TrainerError(
        "ERR_PEER",
        `Rank ${rank} of ${size} cannot listen on ${addresses[rank]}: ${problem.split("\n")[0]}. ` +
          "If another program uses the port, choose another one with --port.",
      );
    }
    delete process.env.FITLOOP_SERVER_DEF; // no process that this one starts joins
    await waitForPeers(membership, startSeconds);
    native.watchPeers(rank, size, watchdogSeconds);
  }

  return {
    rank,
    size,
    async start(backend) {
      await (ready ??= join(backend));
      const where = membership.loopback ? "on this machine" : `at ${addresses.join(", ")}`;
      return `Rank ${rank} of ${size} processes ${where} (${membership.source}).`;
    },
    sum: (values) => allReduce(values, size, (cause) => lost(cause, membership)),
  };
}

/** Waits until every process listens. */
async function waitForPeers({ rank, addresses }: Membership, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (const [peer, address] of addresses.entries()) {
    while (peer !== rank && !(await listens(address))) {
      if (performance.now() > deadline) {
        throw new TrainerError(
          "ERR_PEER",
          `Rank ${peer} did not start: nothing listens on ${address} after ${seconds} s. ` +
            "Start all ranks with the same addresses, and let them through the firewall.",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function listens(address: string): Promise<boolean> {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  return new Promise((resolve) => {
    const socket = createConnection({ host: address.slice(0, colon), port, timeout: 2000 });
    const end = (found: boolean): void => {
      socket.destroy();
      resolve(found);
    };
    // A connection to a free port of this machine may connect to itself.
    socket.once("connect", () => end(socket.localPort !== port));
    for (const event of ["error", "timeout"]) socket.once(event, () => end(false));
  });
}

// ------------------------------------------------------------------------------------------------------- the sum

/** The processes of a group, in TensorFlow's words; one key for each kind of collective. */
const groupKey = 1;

const keys = new Map<number, number>(); // int32 scalars that stay, value -> id

/**
 * CollectiveReduceV2. A timeout of its own would cost two sleeping threads a call until it is over, and a new instance key a
 * call 0.8 kB: so there is a watchdog instead, and one key for each length.
 */
function allReduce(values: tf.Tensor1D, size: number, lostError: (cause: unknown) => TrainerError): tf.Tensor1D {
  const native = currentNativeCalls()!;
  const backend = tf.backend() as unknown as {
    getInputTensorIds(tensors: tf.Tensor[]): number[];
    createOutputTensor(info: OutputInfo): tf.Tensor;
  };
  const scalar = (value: number): number => {
    const known = keys.get(value) ?? native.createTensor([], native.TF_INT32, Int32Array.of(value));
    keys.set(value, known);
    return known;
  };
  const attributes: Attribute[] = [
    { name: "T", type: native.TF_ATTR_TYPE, value: native.TF_FLOAT },
    { name: "merge_op", type: native.TF_ATTR_STRING, value: "Add" },
    { name: "final_op", type: native.TF_ATTR_STRING, value: "Id" },
    { name: "communication_hint", type: native.TF_ATTR_STRING, value: "RING" },
    { name: "timeout_seconds", type: native.TF_ATTR_FLOAT, value: 0 },
    { name: "Nordering_token", type: native.TF_ATTR_INT, value: 0 },
  ];
  const inputs = [...backend.getInputTensorIds([values]), scalar(size), scalar(groupKey), scalar(values.size)];
  try {
    const [sum] = native.executeOp("CollectiveReduceV2", attributes, inputs, 1);
    return backend.createOutputTensor(sum!) as tf.Tensor1D;
  } catch (cause) {
    throw lostError(cause);
  }
}

/** After an error every later sum fails: such a process ends. */
function lost(cause: unknown, { rank, addresses }: Membership): TrainerError {
  const reason = reasonOf(cause);
  const watched = (currentNativeCalls() as unknown as GroupCalls).groupProblem();
  const others = [...reason.matchAll(/task:(\d+)/g)].map(([, task]) => task).filter((task) => task !== String(rank));
  const named = /^lost (\d+)/.exec(watched)?.[1] ?? others[0];
  const who = named === undefined ? "another process" : `rank ${named} (${addresses[Number(named)]})`;
  return new TrainerError(
    "ERR_PEER",
    `Lost ${who}: it was killed, hangs, failed or cannot be reached. Look at its own output. ` +
      "The run can be resumed with as many processes.",
    { cause: new Error(/Message: (.*)/.exec(reason)?.[1] ?? reason) },
  );
}
