/**
 * 75 changes of every file of a run for each command that reads it, 150 and more a file. `ATTACK_SEED` gives others, and
 * `ATTACK_CHANGES` more or fewer.
 */
import { expect, it } from "vitest";
import { attackFiles } from "../support/damaged-files.js";
import { workplace } from "../support/run-cli.js";

const { ATTACK_SEED = "2", ATTACK_CHANGES = "75" } = process.env;
workplace();

it("no change of a run's file gives other figures in silence", async () => {
  const { silent, faults, ...counts } = await attackFiles(Number(ATTACK_CHANGES), Number(ATTACK_SEED));
  console.info(counts);
  expect({ silent, faults }).toEqual({ silent: [], faults: [] });
});
