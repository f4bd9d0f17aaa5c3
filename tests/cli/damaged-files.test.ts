/** A few changes of every file of a run; 75 for each reader in tests/long/damaged-files.test.ts. */
import { expect, it } from "vitest";
import { attackFiles } from "../support/damaged-files.js";
import { workplace } from "../support/run-cli.js";

workplace();

it("no change of a run's file gives other figures in silence", async () => {
  const { changes, silent, faults } = await attackFiles(2, 1);
  expect({ silent, faults }).toEqual({ silent: [], faults: [] });
  expect(changes).toBeGreaterThan(40);
});
