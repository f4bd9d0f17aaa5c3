/** Tests that take minutes, or need root, strace or a mount: `npm run test:long`. None skips itself. */
import { configDefaults, defineConfig } from "vitest/config";
import config from "./vitest.config.js";

export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ["tests/long/**/*.test.ts"],
    exclude: configDefaults.exclude,
    testTimeout: 1_800_000,
  },
});
