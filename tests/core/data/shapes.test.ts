import { describe, expect, it } from "vitest";
import type { Image } from "../../../core/data/dataset.js";
import { drawScene, hsv, type ShapeKind, shapeKinds } from "../../../core/data/draw-shape.js";
import { composeScene, type ShapesOptions, shapes } from "../../../core/data/shapes.js";
import { TrainerError } from "../../../core/errors.js";
import { makePart } from "../../../core/parts.js";
import { stream } from "../../../core/rng.js";

const load = (options: ShapesOptions = {}) => makePart(shapes(options)).load({});
const all = (length: number) => Array.from({ length }, (_, at) => at);

/** Calls back for each pixel: whether a box has it, and whether two images differ there. */
function compare(
  [top, left, bottom, right]: readonly [number, number, number, number],
  one: Uint8Array,
  other: Uint8Array,
  size: number,
  each: (row: number, column: number, inBox: boolean, differs: boolean) => void,
): void {
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const at = (row * size + column) * 3;
      const differs = [0, 1, 2].some((channel) => one[at + channel] !== other[at + channel]);
      each(row, column, row >= top && row < bottom && column >= left && column < right, differs);
    }
  }
}

describe("shapes", () => {
  it("has the classes, sizes and numbers asked for, every class equally often", async () => {
    const data = await load({ classes: 7, size: 20, train: 35, test: 14 });
    expect([data.height, data.width, data.train.length, data.test!.length]).toEqual([20, 20, 35, 14]);
    expect(data.classes).toEqual(["disc", "square", "triangle", "star", "plus", "ring", "frame"]);
    const counts = all(7).map((label) => data.train.labels.filter((found) => found === label).length);
    expect(counts).toEqual(new Array(7).fill(5));
    const images = await data.train.read([3, 30]);
    for (const { pixels, height, width } of images) expect([pixels.length, height, width]).toEqual([1200, 20, 20]);
  });

  it("is a function of seed, split and index: order of reading, batch and number do not matter", async () => {
    const one = await load({ train: 40 });
    const other = await load({ train: 60, test: 40 });
    const forward = await one.train.read(all(40));
    const backward = (await other.train.read(all(40).reverse())).reverse();
    expect(backward).toEqual(forward);
    expect(await other.train.read([17])).toEqual([forward[17]]);
    expect(one.train.box!(17)).toEqual(other.train.box!(17));

    const differs = async (images: Promise<Image[]> | Image[]) => {
      (await images).forEach(({ pixels }, at) => expect(Buffer.compare(pixels, forward[at]!.pixels)).not.toBe(0));
    };
    await differs((await load({ train: 40, seed: 2 })).train.read(all(40)));
    await differs(other.test!.read(all(40)));
  });

  it("does not change from version to version without its fingerprint changing too", async () => {
    const { train, fingerprint } = await load();
    expect(train.box!(3)).toEqual([8, 11, 26, 29]);
    expect([...(await train.read([3]))[0]!.pixels.subarray(1500, 1512)]).toEqual([
      0, 9, 23, 23, 12, 7, 16, 3, 26, 16, 5, 11,
    ]);
    expect(fingerprint).toBe("5e49127030be223ea58e315f131d8d420e4668fa5c197dd5cedaf0724be12d53");
    expect((await load({ seed: 2 })).fingerprint).not.toBe(fingerprint);
    expect((await load({ classes: 10, size: 32 })).fingerprint).toBe(fingerprint);
  });

  it("gives fresh pixels with every read", async () => {
    const { train } = await load();
    const [first] = await train.read([0]);
    const kept = first!.pixels.slice();
    first!.pixels.fill(0);
    expect((await train.read([0]))[0]!.pixels).toEqual(kept);
  });

  it.each([8, 13, 32, 64])(
    "has exact boxes at size %i: only background outside, and no smaller box would do",
    async (size) => {
      const options = { classes: 40, size, seed: 5 };
      const { train } = await load({ ...options, train: 120 });
      for (const index of all(120)) {
        const [{ pixels }] = (await train.read([index])) as [Image];
        const box = train.box!(index);
        const scene = composeScene(train.labels[index]!, options, "train", index);
        const ground = drawScene(scene, stream(5, "shapes/train/noise", index), false);
        const [top, left, bottom, right] = box;
        expect(top).toBeGreaterThanOrEqual(0);
        expect(bottom).toBeLessThanOrEqual(size);
        let outside = 0;
        const edges = { top: false, left: false, bottom: false, right: false };
        compare(box, pixels, ground.pixels, size, (row, column, inBox, differs) => {
          if (differs && !inBox) outside++;
          if (differs && inBox) {
            edges.top ||= row === top;
            edges.left ||= column === left;
            edges.bottom ||= row === bottom - 1;
            edges.right ||= column === right - 1;
          }
        });
        expect(outside, `image ${index}`).toBe(0);
        expect(edges, `image ${index}, ${scene.kind}`).toEqual({
          top: true,
          left: true,
          bottom: true,
          right: true,
        });
      }
    },
  );

  it("keeps every shape whole and of a size that can be seen", async () => {
    const { train } = await load({ train: 300 });
    for (const index of all(300)) {
      const [top, left, bottom, right] = train.box!(index);
      expect(Math.max(bottom - top, right - left)).toBeGreaterThanOrEqual(10);
      const margins = [top, left, 32 - bottom, 32 - right];
      for (const margin of margins) expect(margin).toBeGreaterThanOrEqual(0);
    }
  });

  it.each([2, 3, 11, 30, 31, 64, 1000])("makes %i classes, all named and composed differently", async (classes) => {
    const data = await load({ classes, train: 2 });
    expect(new Set(data.classes).size).toBe(classes);
    const recipes = data.classes.map((_, label) => {
      // Texture and hue of a class over many images; a class of its kind alone has them all.
      const scenes = all(6).map((index) => composeScene(label, { classes, size: 32, seed: 1 }, "train", index));
      return { kind: scenes[0]!.kind, textures: new Set(scenes.map(({ texture }) => texture)).size };
    });
    const kinds = new Set(recipes.map(({ kind }) => kind));
    expect(kinds.size).toBe(Math.min(classes, 10));
    if (classes <= 10) expect(recipes.every(({ textures }) => textures > 1)).toBe(true);
    if (classes >= 20) expect(recipes.every(({ textures }) => textures === 1)).toBe(true);
  });

  it("keeps the hue bands of 100 classes apart", () => {
    const hueOf = ([r, g, b]: readonly number[]): number => {
      const most = Math.max(r!, g!, b!);
      const range = most - Math.min(r!, g!, b!);
      const turns =
        most === r ? ((g! - b!) / range + 6) % 6 : most === g ? (b! - r!) / range + 2 : (r! - g!) / range + 4;
      return turns / 6;
    };
    for (const label of [0, 30, 60, 90]) {
      for (const index of all(50)) {
        const { colour } = composeScene(label, { classes: 100, size: 32, seed: 1 }, "train", index);
        const hue = hueOf(colour) * 4 - label / 30; // ten of 100 classes a kind: four bands
        expect(hue).toBeGreaterThan(0.12);
        expect(hue).toBeLessThan(0.88);
      }
    }
  });

  it("cannot be told by mean colour or brightness while the kinds of shapes suffice", async () => {
    const { train, test } = await load({ train: 1000, test: 500 });
    const features = ({ pixels }: Image): number[] => {
      const sums = [0, 0, 0, 0];
      for (let at = 0; at < pixels.length; at++) sums[at % 3]! += pixels[at]! / 1024;
      return [...sums.slice(0, 3), Math.abs(sums[0]! - sums[1]!)];
    };
    const centres = all(10).map(() => [0, 0, 0, 0]);
    (await train.read(all(1000))).forEach((image, index) => {
      features(image).forEach((value, at) => (centres[train.labels[index]!]![at]! += value / 100));
    });
    const far = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + (value - b[at]!) ** 2, 0);
    const right = (await test!.read(all(500))).filter((image, index) => {
      const distances = centres.map((centre) => far(features(image), centre));
      return distances.indexOf(Math.min(...distances)) === test!.labels[index];
    });
    expect(right.length / 500).toBeLessThan(0.25); // chance is 0.1
  });

  it("refuses what it cannot draw", () => {
    for (const bad of [{ classes: 1 }, { size: 7 }, { train: 0 }, { seed: -1 }, { clases: 3 }, { classes: 2.5 }]) {
      expect(() => makePart(shapes(bad as never))).toThrow(TrainerError);
    }
    expect(makePart(shapes()).options).toEqual({ classes: 10, size: 32, train: 2000, test: 500, seed: 1 });
  });
});

describe("drawing", () => {
  const scene = {
    size: 64,
    texture: "solid",
    centre: [32, 32],
    radius: 20,
    angle: 0,
    colour: [255, 0, 0],
    accent: [255, 255, 255],
    ground: [
      [0, 0, 255],
      [0, 0, 255],
    ],
    slope: 0,
    noise: 0,
  } as const;
  const drawn = (kind: ShapeKind, changes = {}) => drawScene({ ...scene, kind, ...changes }, stream(1, "test"));
  const areaOf = ({ pixels }: { pixels: Uint8Array }): number => {
    let area = 0;
    for (let at = 0; at < pixels.length; at += 3) area += pixels[at]! / 255;
    return area / 20 ** 2;
  };

  /** Areas at radius 1, from geometry. */
  const crescent = (() => {
    const [r, s, d] = [0.95, 0.75, 0.5];
    const lens =
      r * r * Math.acos((d * d + r * r - s * s) / (2 * d * r)) +
      s * s * Math.acos((d * d + s * s - r * r) / (2 * d * s)) -
      0.5 * Math.sqrt((-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s));
    return Math.PI * r * r - lens;
  })();
  const areas: Record<ShapeKind, number> = {
    disc: Math.PI * 0.81,
    square: 2.25,
    triangle: (3 * Math.sqrt(3)) / 4,
    star: 5 * 0.42 * Math.sin(Math.PI / 5),
    plus: 2 * 0.6 * 1.9 - 0.36,
    ring: Math.PI * (0.95 ** 2 - 0.55 ** 2),
    frame: 1.54 ** 2 - 0.86 ** 2,
    bar: 2 * 0.56,
    crescent,
    hourglass: 2 * (0.06 + 0.74) * 0.8,
  };
  it.each(Object.keys(shapeKinds) as ShapeKind[])("covers the area of a %s, whatever the angle", (kind) => {
    for (const angle of [0, 0.4, 2.5]) expect(areaOf(drawn(kind, { angle }))).toBeCloseTo(areas[kind], 1);
  });

  it("blends edges: a disc between pixels has them in all shades", () => {
    const shades = new Set(drawn("disc", { centre: [32.3, 31.8] }).pixels.filter((_, at) => at % 3 === 0));
    expect(shades.size).toBeGreaterThan(20);
  });

  it("turns clockwise, and puts the box around what it drew", () => {
    const tall = drawn("bar", { angle: Math.PI / 2 }).box;
    const wide = drawn("bar").box;
    expect(wide).toEqual([26, 12, 38, 52]);
    expect(tall).toEqual([12, 26, 52, 38]);
    const [top, , bottom] = drawn("triangle").box; // a corner up: 20 above, 10 below
    expect([32 - top, bottom - 32]).toEqual([20, 10]);
    const right = drawn("triangle", { angle: Math.PI / 2 }).box;
    expect([right[3] - 32, 32 - right[1]]).toEqual([20, 10]);
  });

  it("knows colours", () => {
    const rounded = (...args: [number, number, number]) => hsv(...args).map(Math.round);
    expect(rounded(0, 1, 1)).toEqual([255, 0, 0]);
    expect(rounded(1 / 3, 1, 1)).toEqual([0, 255, 0]);
    expect(rounded(2 / 3, 1, 0.5)).toEqual([0, 0, 128]);
    expect(rounded(0.5, 0, 0.2)).toEqual([51, 51, 51]);
    expect(rounded(1 / 12, 0.5, 1)).toEqual([255, 191, 128]);
  });
});
