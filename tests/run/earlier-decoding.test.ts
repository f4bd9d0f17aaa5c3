/** Runs of versions that had no choice of how files are decoded are used as they were trained. */
import { expect, it } from "vitest";
import { defaultDecoding, earlierDecoding } from "../../core/data/decode.js";
import { imageFolder } from "../../core/data/index.js";
import { makePart } from "../../core/parts.js";
import type { RunConfigRecord } from "../../run/files.js";
import { asOfNow, configFromRecord } from "../../run/parts.js";
import { readRecord } from "../../run/record-files.js";

const golden = new URL("../golden/run", import.meta.url).pathname;

it("a record without them converts colour profiles, and one with them does as it says", () => {
  const { path, size, validateAll, maxPixels, maxSeconds } = makePart(imageFolder({ path: "/photos" })).options;
  const early = { path, size, validateAll, maxPixels, maxSeconds };
  const recordOf = (options: object): RunConfigRecord =>
    ({ ...readRecord(golden), data: { name: "imageFolder", options } }) as RunConfigRecord;
  const used = (options: object) => makePart(configFromRecord(recordOf(options)).config.data).options;
  expect(used(early)).toMatchObject(earlierDecoding);
  expect(asOfNow(recordOf(early)).data.options).toMatchObject(earlierDecoding);
  expect(used({ ...early, ...defaultDecoding, crop: 0.9 })).toMatchObject({ crop: 0.9, colorProfiles: false });
  expect(earlierDecoding).toEqual({ crop: 1, interpolation: "bilinear", colorProfiles: true });
});
