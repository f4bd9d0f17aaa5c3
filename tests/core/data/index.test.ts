import { describe, expect, it } from "vitest";

import * as entry from "../../../core/data/index.js";

describe("fitloop/data", () => {
  it("exports what the documentation names", () => {
    expect(Object.keys(entry).sort()).toEqual([
      "cifar10",
      "cifar100",
      "createLoader",
      "dataSets",
      "dataSource",
      "formatVerify",
      "imageFolder",
      "imageNetStatistics",
      "limit",
      "memorySplit",
      "shapes",
      "stratifiedHoldout",
      "subset",
      "verifyData",
    ]);
  });

  it("takes the data set that the documentation makes", async () => {
    const { brightness } = (await import("snippet:docs/data.md" as string)) as {
      brightness(count: number): entry.DataSource;
    };
    const report = await entry.verifyData(brightness(6));
    expect(report).toMatchObject({ clean: true, train: { images: 6, counts: [3, 3] } });
    expect(report.measured.mean[0]).toBeCloseTo(125 / 255, 10);
  });

  it("makes a built-in source again from its record", () => {
    const sources = [
      entry.cifar10({ download: true }),
      entry.cifar100({ path: "/data" }),
      entry.imageFolder({ path: "/data", size: 64 }),
      entry.shapes({ classes: 4 }),
    ];
    for (const { name, options } of sources) {
      const record = JSON.parse(JSON.stringify(options)) as Record<string, unknown>;
      expect(entry.dataSource(name, record)).toMatchObject({ name, options });
    }
    expect(() => entry.dataSource("cifar", {})).toThrow(/No data set is called "cifar".*cifar10/);
    expect(() => entry.dataSource("toString", {})).toThrow("No data set");
  });
});
