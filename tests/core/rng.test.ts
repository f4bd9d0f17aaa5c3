import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashName, philox, stream } from "../../core/rng.js";

/** Known answers of Random123's own test file for philox4x32-10: counter, key, result. */
const knownAnswers: [number[], number[], number[]][] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

describe("philox", () => {
  test.each(knownAnswers)("counter %j, key %j", (counter, key, answer) => {
    const out = new Uint32Array(4);
    philox(out, ...(counter as [number, number, number, number]), ...(key as [number, number]));
    expect([...out]).toEqual(answer);
  });
});

describe("stream", () => {
  const draws = (of: ReturnType<typeof stream>, n = 8): number[] => Array.from({ length: n }, () => of.uint32());

  test("the same key gives the same draws, any other key others", () => {
    const first = draws(stream(1, "cutmix", 2, 3, 4));
    expect(draws(stream(1, "cutmix", 2, 3, 4))).toEqual(first);
    for (const other of [stream(2, "cutmix", 2, 3, 4), stream(1, "mixup", 2, 3, 4), stream(1, "cutmix", 3, 2, 4)]) {
      expect(draws(other)).not.toEqual(first);
    }
  });

  test("a stream may be as long as it likes without meeting its neighbours", () => {
    const long = new Set(draws(stream(1, "a", 0), 4000));
    const next = draws(stream(1, "a", 1), 4000);
    // 4000 x 4000 pairs of 32-bit numbers meet by chance 0.004 times.
    expect(next.filter((value) => long.has(value)).length).toBeLessThan(4);
  });

  test("uniform numbers have the mean and deviation they must", () => {
    const random = stream(7, "moments");
    const values = Array.from({ length: 40_000 }, () => random.uniform());
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / values.length));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
  });

  test.each([
    [1, 1],
    [0.2, 0.2],
    [2, 5],
    [0.01, 0.01],
  ])("Beta(%d, %d) has its mean and variance", (a, b) => {
    const random = stream(3, "beta");
    const values = Array.from({ length: 20_000 }, () => random.beta(a, b));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const expected = (a * b) / ((a + b) ** 2 * (a + b + 1));
    expect(Math.abs(mean - a / (a + b))).toBeLessThan(5 * Math.sqrt(expected / values.length));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(0.06);
  });

  test("normal numbers have mean 0, deviation 1 and no heavy tail", () => {
    const random = stream(5, "normal");
    const values = Array.from({ length: 40_000 }, () => random.normal());
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(fourth - 3)).toBeLessThan(0.2);
  });

  test("chance never happens at 0 and always at 1", () => {
    const random = stream(1, "chance");
    for (let draw = 0; draw < 10_000; draw++) {
      expect(random.chance(0)).toBe(false);
      expect(random.chance(1)).toBe(true);
    }
  });

  test("a permutation holds every place once", () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(), (n, seed) => {
        const sorted = [...stream(seed, "order").permutation(n)].sort((x, y) => x - y);
        expect(sorted).toEqual(Array.from({ length: n }, (_, index) => index));
      }),
    );
  });

  test("short names differ in every bit", () => {
    const hashes = ["a", "b", "c", "dropout", "mixup", "layer/layer1.0"].map(hashName);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(new Set(hashes.map((hash) => hash >>> 24)).size).toBe(hashes.length);
  });
});

/** Runs that were kept go on with these draws, and seeds that were published mean them: no version may draw others. */
describe("the draws of a key are for ever", () => {
  const pinned = (): ReturnType<typeof stream> => stream(2024, "pinned", 1, 2, 3);
  const times = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);
  // The last bits of logarithm and cosine are the engine's.
  const near = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 12) as unknown);

  test("bits, across blocks of four", () => {
    const random = pinned();
    expect(times(6, random.uint32)).toEqual([3297561686, 2996388889, 3088761733, 827580965, 67699764, 122261053]);
  });

  test("numbers of a range, whole numbers, chances", () => {
    const [ranged, whole, chance] = [pinned(), pinned(), pinned()];
    expect(times(3, () => ranged.range(-2, 3))).toEqual(
      near([1.8388670491985977, 1.4882557683158666, 1.595791911939159]),
    );
    expect(times(8, () => whole.int(10))).toEqual([7, 6, 7, 1, 0, 0, 5, 9]);
    expect(times(8, () => chance.chance(0.5))).toEqual([false, false, false, true, true, true, false, false]);
  });

  test("normal numbers", () => {
    const random = pinned();
    expect(times(3, random.normal)).toEqual(near([-0.5519825648706712, 0.5615936717879358, 0.17541529718623822]));
  });

  test.each([
    [1, 1, [0.18646717160644968, 0.843770346530426, 0.4182663830917871]],
    [0.2, 0.5, [0.9907598034442493, 0.0916003203604146, 0.11074578757530634]],
    [2, 5, [0.14453915274174545, 0.496961289536785, 0.2733633087785103]],
  ])("Beta(%d, %d)", (a, b, expected) => {
    const random = pinned();
    expect(times(3, () => random.beta(a, b))).toEqual(near(expected));
  });

  test("a thousand of Beta, some of which are refused on the way", () => {
    const random = pinned();
    expect(times(1000, () => random.beta(0.7, 1.5)).reduce((sum, value) => sum + value)).toBeCloseTo(
      318.57007718587596,
      8,
    );
  });

  test("an order, and what is drawn after it", () => {
    const random = pinned();
    expect([...random.permutation(10)]).toEqual([4, 8, 3, 2, 9, 0, 1, 5, 6, 7]);
    expect(random.uint32()).toBe(310678650);
  });

  test("names", () => {
    expect([hashName(""), hashName("dropout")]).toEqual([2872998923, 3957850590]);
  });
});

test("Beta of shapes so small that both parts underflow is a fair coin", () => {
  const random = stream(1, "coin");
  const values = Array.from({ length: 4000 }, () => random.beta(1e-6, 1e-6));
  expect(values.slice(0, 8)).toEqual([0, 1, 0, 1, 0, 0, 0, 1]);
  expect(values.filter((value) => value !== 0 && value !== 1)).toEqual([]);
  expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / 4000 - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / 4000));
});

test("every order of three is as frequent as any other", () => {
  const counts = new Map<string, number>();
  for (let number = 0; number < 6000; number++) {
    const order = String(stream(number, "orders").permutation(3));
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values())
    expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(6000 * (1 / 6) * (5 / 6)));
});

test("nobody draws from anywhere else", () => {
  const root = new URL("../../", import.meta.url);
  const sources = ["core", "run", "report", "cli", "plugins", "presets"].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `${folder}/${file}`),
  );
  expect(sources.length).toBeGreaterThan(100);
  const strange = sources.filter((file) =>
    /Math\.random|\btf\.(random\w+|multinomial|truncatedNormal)/.test(readFileSync(new URL(file, root), "utf8")),
  );
  expect(strange).toEqual([]);
});
