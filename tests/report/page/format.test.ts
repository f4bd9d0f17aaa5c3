import { describe, expect, it } from "vitest";
import { bestRow, counted, csv, duration, shown, signed, sorted, tick } from "../../../report/page/format.js";

describe("a cell", () => {
  it("is shown in its column's format, and text as it is", () => {
    expect(shown(0.1234, "percent")).toBe("12.3 %");
    expect(shown(12_345.6, "integer")).toBe("12,346");
    expect(shown(0.000123456, "number")).toBe("0.0001235");
    expect(shown("NaN", "percent")).toBe("NaN");
    expect(shown(null, "number")).toBe("");
    expect(shown(undefined, "number")).toBe("");
    expect(shown({ value: 0.5, low: 0.4, high: 0.6 }, "percent")).toBe("50.0 %");
    expect(shown({ value: 0.5, deviation: 0.01 }, "percent")).toBe("50.0 % ± 1.0 %");
  });

  it("has a difference with its sign, of shares in points", () => {
    expect(signed(0.0123, "percent")).toBe("+1.2 points");
    expect(signed(-0.5, "number")).toBe("−0.5");
    expect(signed(0, "integer")).toBe("+0");
  });
});

it("words follow their numbers", () => {
  expect([counted(1, "row"), counted(2, "row"), counted(1234, "row")]).toEqual(["1 row", "2 rows", "1,234 rows"]);
  expect([duration(-3), duration(27), duration(240), duration(11_100)]).toEqual(["0 s", "27 s", "4 min", "3 h 5 min"]);
});

it("numbers beside an axis have no decimals that say nothing", () => {
  expect([0, 0.4, 0.425, 1].map((value) => tick(value, "percent"))).toEqual(["0 %", "40 %", "42.5 %", "100 %"]);
  expect([tick(0.25, "number"), tick(1200, "integer")]).toEqual(["0.25", "1,200"]);
});

describe("rows", () => {
  const rows = [
    ["b", 2],
    ["a", null],
    ["d", "1 of 2"],
    ["c", { value: 10 }],
    ["e", 2],
  ] as const;
  const names = (column: number, down: boolean): unknown[] => sorted(rows, column, down).map(([name]) => name);

  it("are sorted by a column both ways, with numbers before text before nothing", () => {
    expect(names(1, true)).toEqual(["c", "b", "e", "d", "a"]);
    expect(names(1, false)).toEqual(["b", "e", "c", "d", "a"]);
    expect(names(0, false)).toEqual(["a", "b", "c", "d", "e"]);
    expect(names(0, true)).toEqual(["e", "d", "c", "b", "a"]);
  });

  it("have a best one where there is something to compare", () => {
    expect(bestRow([1, { value: 3 }, 2, "9", null], "higher")).toBe(1);
    expect(bestRow([1, { value: 3 }, 2, "9", null], "lower")).toBe(0);
    expect(bestRow([1, 2], undefined)).toBe(-1);
    expect(bestRow([1, null], "higher")).toBe(-1);
    expect(bestRow([1, 1], "higher")).toBe(-1);
  });
});

it("CSV quotes what needs it, and no name becomes a formula", () => {
  const rows = [
    ["a", 'say "x"', "one,two", "two\nlines"],
    [1.5, -2, null, undefined],
    ["=1+1", "+x", "-x", "@x"],
  ];
  expect(csv(rows)).toBe('a,"say ""x""","one,two","two\nlines"\r\n1.5,-2,,\r\n' + "'=1+1,'+x,'-x,'@x\r\n");
});
