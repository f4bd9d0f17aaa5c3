/** Names in `checkpoints`: each place has one name, and no other name is a place's. */
import { basename, dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { comparePlaces, isTemporary, namedPlace, placeName, temporaryPath } from "../../run/checkpoint-names.js";

describe("a place's name", () => {
  it.each([
    ["step-00000000", { step: 0, part: 0 }],
    ["step-00001234", { step: 1234, part: 0 }],
    ["step-00001234.2", { step: 1234, part: 2 }],
    ["step-00001234.12", { step: 1234, part: 12 }],
    ["step-123456789", { step: 123456789, part: 0 }],
    ["step-9007199254740991.9007199254740991", { step: Number.MAX_SAFE_INTEGER, part: Number.MAX_SAFE_INTEGER }],
  ])("is %s, and read back", (name, place) => {
    expect(placeName(place)).toBe(name);
    expect(namedPlace(name)).toEqual(place);
  });

  it("has no part where none is given", () => {
    expect(placeName({ step: 7 })).toBe("step-00000007");
  });

  it.each([
    { step: -1 },
    { step: 1.5 },
    { step: Number.NaN },
    { step: 2 ** 53 },
    { step: 1, part: -1 },
    { step: 1, part: 0.5 },
  ])("is none for %j", (place) => {
    const refused = { code: "ERR_INTERNAL", message: expect.stringMatching(/whole numbers, got .+/) as string };
    expect(() => placeName(place)).toThrow(expect.objectContaining(refused));
  });

  it.each([
    "",
    "step-",
    "step-1234",
    "step-0001234",
    "step-000001234", // more zeros than the name has
    "step-00001234.0",
    "step-00001234.02",
    "step-00001234.",
    "step-00001234.x",
    "step-00001234.2x",
    "step-00001234x",
    "xstep-00001234",
    ".tmp-step-00001234",
    "step-9007199254740993",
    "step-00001234.9007199254740993",
  ])("is not %s", (name) => {
    expect(namedPlace(name)).toBeUndefined();
  });
});

it("places stand in the order in which a run comes to them", () => {
  const places = [{ step: 1 }, { step: 2 }, { step: 2, part: 1 }, { step: 2, part: 10 }, { step: 10 }];
  expect([...places].reverse().sort(comparePlaces)).toEqual(places);
  expect(comparePlaces({ step: 3 }, { step: 3, part: 0 })).toBe(0);
  expect(comparePlaces({ step: 3, part: 2 }, { step: 3, part: 1 })).toBeGreaterThan(0);
  expect(comparePlaces({ step: 2, part: 9 }, { step: 3 })).toBeLessThan(0);
});

describe("a temporary name", () => {
  it("is in the folder, says the step and the process, is another each time, and is known again", () => {
    const paths = Array.from({ length: 20 }, () => temporaryPath("folder", 1234));
    expect(new Set(paths).size).toBe(20);
    for (const path of paths) {
      expect(dirname(path)).toBe("folder");
      expect(basename(path)).toMatch(new RegExp(`^\\.tmp-1234-${process.pid}-`));
      expect(isTemporary(basename(path))).toBe(true);
      expect(namedPlace(basename(path))).toBeUndefined();
    }
  });

  it.each([
    "step-00001234",
    ".tmp-12-34",
    ".tmp-12-34-0123456789a",
    ".tmp-12-34-0123456789abc",
    ".tmp-12-34-0123456789xy",
    "x.tmp-12-34-0123456789ab",
    ".tmp-12-34-0123456789ab.mine",
    ".tmp-x-34-0123456789ab",
    ".tmp-12-x-0123456789ab",
    ".tmp--34-0123456789ab",
  ])("is not %s: it is somebody else's", (name) => {
    expect(isTemporary(name)).toBe(false);
  });
});
