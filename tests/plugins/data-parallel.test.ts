/** The plugin chooses a group by the environment; tests/core/group trains in one. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { alone } from "../../core/index.js";
import { mountPlugin } from "../../core/testing/index.js";
import { dataParallel } from "../../plugins/index.js";

const variables = ["RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "FITLOOP_SERVER_DEF", "FITLOOP_LOOPBACK", "no_grpc_proxy"];
const clear = (): void => variables.forEach((name) => vi.stubEnv(name, undefined));
afterEach(() => vi.unstubAllEnvs());

describe("data-parallel", () => {
  it("trains alone where no launcher names a rank", () => {
    clear();
    const { call, dispose } = mountPlugin(dataParallel());
    expect(call.resolveGroup(alone)).toBe(alone);
    expect(process.env.FITLOOP_SERVER_DEF).toBeUndefined();
    dispose();
  });

  it("is the rank that the environment names, once a process", () => {
    clear();
    vi.stubEnv("RANK", "1");
    vi.stubEnv("WORLD_SIZE", "2");
    vi.stubEnv("LOCAL_WORLD_SIZE", "2");
    const { call, dispose } = mountPlugin(dataParallel({ port: 23000 }));
    const group = call.resolveGroup(alone);
    expect(group).toMatchObject({ rank: 1, size: 2 });
    expect(call.resolveGroup(alone)).toBe(group);
    expect(Buffer.from(process.env.FITLOOP_SERVER_DEF!, "hex").toString("latin1")).toContain("127.0.0.1:23001");
    expect(process.env.FITLOOP_LOOPBACK).toBe("1");
    const other = mountPlugin(dataParallel({ port: 24000 }));
    expect(() => other.call.resolveGroup(alone)).toThrow(
      "This process cannot join the group of 127.0.0.1:24000,127.0.0.1:24001: it is in the group of 127.0.0.1:23000,127.0.0.1:23001 already.",
    );
    for (const each of [dispose, other.dispose]) each();
  });

  it("needs a flag for other machines", () => {
    clear();
    vi.stubEnv("RANK", "0");
    vi.stubEnv("WORLD_SIZE", "2");
    const { call, dispose } = mountPlugin(dataParallel({ hosts: ["a", "b"] }));
    expect(() => call.resolveGroup(alone)).toThrow("pass --insecure-network");
    dispose();
  });
});
