/** What TensorFlow must know to be one worker of a cluster, as bytes. Pure. */
import { PbfWriter } from "pbf";

/** TensorFlow's name of a rank. */
const taskName = (rank: number): string => `/job:worker/replica:0/task:${rank}`;

/**
 * A ServerDef. Field numbers are of TensorFlow's tensorflow_server.proto, cluster.proto and config.proto.
 *
 * @param addresses `host:port` of every rank
 */
export function serverDef(addresses: readonly string[], rank: number): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeMessage(1, writeCluster, addresses);
  pbf.writeStringField(2, "worker"); // job_name
  pbf.writeVarintField(3, rank); // task_index
  pbf.writeMessage(4, writeSession, undefined); // default_session_config
  pbf.writeStringField(5, "grpc"); // protocol
  return pbf.finish();
}

function writeCluster(addresses: readonly string[], cluster: PbfWriter): void {
  cluster.writeMessage(1, writeJob, addresses);
}

function writeJob(addresses: readonly string[], job: PbfWriter): void {
  job.writeStringField(1, "worker");
  addresses.forEach((address, task) => job.writeMessage(2, writeTask, { address, task }));
}

function writeTask({ address, task }: { address: string; task: number }, entry: PbfWriter): void {
  entry.writeVarintField(1, task);
  entry.writeStringField(2, address);
}

function writeSession(_: undefined, config: PbfWriter): void {
  // experimental.collective_group_leader
  config.writeMessage(16, (leader: string, pbf: PbfWriter) => pbf.writeStringField(1, leader), taskName(0));
}
