import { expect, it } from "vitest";
import { formatBytes, scaled } from "../../core/format.js";

it("scales numbers", () => {
  expect([999, 1.5e6, 555.4e6, 1.298e9].map(scaled)).toEqual(["999", "1.5 M", "555.4 M", "1.30 G"]);
  expect([0, 10, 89e6, 1.24e9].map(formatBytes)).toEqual(["0 kB", "1 kB", "89 MB", "1.2 GB"]);
});
