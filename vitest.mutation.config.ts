/**
 * The tests that `npm run mutation` runs against each change of a module, named by MUTATION_TESTS. They run in one thread,
 * so they may neither change the process's user nor rely on what another process does: that one's sources are not changed.
 */
import { defineConfig } from "vitest/config";
import config from "./vitest.config.js";

const { MUTATION_TESTS } = process.env;
if (!MUTATION_TESTS) throw new Error("MUTATION_TESTS names no test files. Run `npm run mutation`.");

export default defineConfig({ ...config, test: { ...config.test, include: MUTATION_TESTS.split(",") } });
