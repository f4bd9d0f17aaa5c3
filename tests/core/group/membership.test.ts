import { describe, expect, it } from "vitest";
import { type MembershipOptions, membershipOf, nodesOf } from "../../../core/group/membership.js";

const options: MembershipOptions = { port: 29600, insecureNetwork: false };
const open: MembershipOptions = { ...options, insecureNetwork: true };
const addresses = (env: Record<string, string>, given = open): readonly string[] | undefined =>
  membershipOf(env, given)?.addresses;
const local = ["127.0.0.1:29600", "127.0.0.1:29601"];
const torchrun = { RANK: "1", WORLD_SIZE: "2", LOCAL_WORLD_SIZE: "2", MASTER_ADDR: "node1" };

describe("a process' rank", () => {
  it("is none where no launcher names one, and where it is the only one", () => {
    expect(membershipOf({}, options)).toBeUndefined();
    expect(membershipOf({ RANK: "0", WORLD_SIZE: "1" }, options)).toBeUndefined();
    expect(membershipOf({ MASTER_ADDR: "127.0.0.1" }, options)).toBeUndefined();
  });

  it("comes from torchrun, Open MPI, SLURM and TF_CONFIG", () => {
    expect(membershipOf(torchrun, options)).toEqual({
      rank: 1,
      addresses: local,
      loopback: true,
      source: "RANK and WORLD_SIZE",
    });
    const mpi = { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_LOCAL_SIZE: "2" };
    expect(membershipOf(mpi, options)).toMatchObject({ rank: 1, addresses: local, source: "Open MPI" });
    const slurm = { SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "2", SLURM_STEP_NODELIST: "n1" };
    expect(membershipOf(slurm, options)).toMatchObject({ rank: 0, addresses: local, source: "SLURM" });
    const tensorflow = { cluster: { chief: ["a:1"], worker: ["b:2", "c:3"] }, task: { type: "worker", index: 1 } };
    expect(membershipOf({ TF_CONFIG: JSON.stringify(tensorflow) }, open)).toEqual({
      rank: 2,
      addresses: ["a:1", "b:2", "c:3"],
      loopback: false,
      source: "TF_CONFIG",
    });
  });

  it("is refused where two launchers contradict each other, and taken where they agree", () => {
    const slurm = { SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "1", SLURM_STEP_NODELIST: "n1" };
    expect(() => membershipOf({ ...torchrun, ...slurm }, options)).toThrow(
      "The environment names two ranks: expected one, got rank 1 of 2 (RANK and WORLD_SIZE) and rank 0 of 1 (SLURM).",
    );
    const same = { SLURM_PROCID: "1", SLURM_STEP_NUM_TASKS: "2", SLURM_STEP_NODELIST: "n1" };
    expect(membershipOf({ ...torchrun, ...same }, options)).toMatchObject({ rank: 1, addresses: local });
  });

  it.each([
    ["2", "2"],
    ["-1", "2"],
    ["a", "2"],
    ["0", "0.5"],
  ])("is refused where it is %s of %s", (RANK, WORLD_SIZE) => {
    expect(() => membershipOf({ RANK, WORLD_SIZE }, options)).toThrow(
      `expected RANK from 0 to below WORLD_SIZE, got RANK=${RANK} and WORLD_SIZE=${WORLD_SIZE}.`,
    );
  });

  it.each(["{", "{}", '{"cluster":{"worker":["a:1"]},"task":{"type":"ps","index":0}}'])(
    "is refused in TF_CONFIG=%s",
    (text) => {
      expect(() => membershipOf({ TF_CONFIG: text }, open)).toThrow(`got ${text}.`);
    },
  );
});

describe("addresses", () => {
  const four = { RANK: "0", WORLD_SIZE: "4" };

  it("are of the hosts given, in turn, with ports that follow the base", () => {
    expect(addresses(four, { ...open, hosts: ["a", "b"] })).toEqual(["a:29600", "a:29601", "b:29600", "b:29601"]);
    expect(addresses(four, { ...open, hosts: ["a:7000", "b"] })).toEqual(["a:7000", "a:7001", "b:29600", "b:29601"]);
    expect(addresses(four, { ...open, hosts: ["a:1", "a:2", "b:1", "b:2"] })).toEqual(["a:1", "a:2", "b:1", "b:2"]);
    expect(addresses({ ...four, FITLOOP_HOSTS: "localhost:1, b:2,c:3,d:4" })).toEqual([
      "127.0.0.1:1",
      "b:2",
      "c:3",
      "d:4",
    ]);
  });

  it("are refused where they do not fit the ranks, come twice, or are not known", () => {
    expect(() => addresses(four, { ...open, hosts: ["a", "b", "c"] })).toThrow("got 3 names (a, b, c).");
    expect(() => addresses(four, { ...open, hosts: ["a:1", "b:1", "a:1", "c:1"] })).toThrow("got a:1 twice in --hosts");
    expect(() => addresses({ ...four, MASTER_ADDR: "node1" })).toThrow(
      "RANK and WORLD_SIZE names 4 processes, but not the machines they are on. Pass --hosts",
    );
  });

  it("are refused as IPv6", () => {
    for (const host of ["[::1]:2000", "fe80::1", "::1"]) {
      expect(() => addresses(four, { ...open, hosts: ["a", host] })).toThrow(
        `expected a name or an IPv4 address in --hosts, got ${host}.`,
      );
    }
  });

  it("of other machines need insecureNetwork", () => {
    expect(() => addresses(four, { ...options, hosts: ["127.0.0.1", "b"] })).toThrow("pass --insecure-network");
    expect(membershipOf(four, { ...options, hosts: ["localhost"] })?.loopback).toBe(true);
  });

  it("follow SLURM's nodes and tasks", () => {
    const step = { SLURM_PROCID: "3", SLURM_STEP_NUM_TASKS: "5", SLURM_STEP_NODELIST: "gpu[01-02],big" };
    expect(addresses({ ...step, SLURM_STEP_TASKS_PER_NODE: "2(x2),1" })).toEqual([
      ...["gpu01:29600", "gpu01:29601", "gpu02:29600", "gpu02:29601"],
      "big:29600",
    ]);
    expect(() => addresses({ ...step, SLURM_DISTRIBUTION: "cyclic:block" })).toThrow(
      "expected ranks that follow each other on each node, got SLURM_DISTRIBUTION=cyclic:block.",
    );
  });
});

it("SLURM's node lists are ranges with leading zeros", () => {
  expect(nodesOf("n[08-10,3],login,rack1-[2]-ib")).toEqual(["n08", "n09", "n10", "n3", "login", "rack1-2-ib"]);
});
