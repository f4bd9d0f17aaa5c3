/** Data-parallel training: several processes train one model, each on its share of every batch. */
import { z } from "zod";
import { definePlugin, joinGroup, membershipOf } from "../../core/index.js";

const options = z.strictObject({
  hosts: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("a name for each machine, or host:port for each rank; left out: as the launcher says"),
  port: z.int().min(1024).max(65000).default(29600).describe("of the first rank on each machine; the next ones follow"),
  insecureNetwork: z
    .boolean()
    .default(false)
    .describe("allow several machines, whose ports anyone on the network can use"),
  watchdogSeconds: z.number().min(1).default(30).describe("a process that does not answer for so long is lost"),
  startSeconds: z.number().min(1).default(300).describe("wait for all processes at the start"),
});

export const dataParallel = definePlugin({
  name: "data-parallel",
  summary: "Trains one model in several processes, each on its share of every batch",
  options,
  apply({ watchdogSeconds, startSeconds, ...where }, { hooks }) {
    hooks.resolveGroup.tap((group) => {
      const membership = membershipOf(process.env, where);
      return membership ? joinGroup(membership, { watchdogSeconds, startSeconds }) : group;
    });
  },
});
