/**
 * Drawing one shape on a noisy background, as pure functions of a description.
 *
 * A shape is a signed distance function: negative inside, in units of its radius. One pixel of distance is
 * blended, which is all the anti-aliasing there is.
 */

import type { Stream } from "../rng.js";
import type { Box } from "./dataset.js";

type Distance = (x: number, y: number) => number;
type Colour = readonly [red: number, green: number, blue: number];

/** Distance to a rectangle around the origin with these half sides (a little short outside the corners). */
const box = (x: number, y: number, halfWidth: number, halfHeight: number): number =>
  Math.max(Math.abs(x) - halfWidth, Math.abs(y) - halfHeight);

/**
 * Distance to a regular star or polygon: `corners` at radius 1, with `inner` the radius of the notches
 * between.
 */
function star(x: number, y: number, corners: number, inner: number): number {
  const sector = Math.PI / corners;
  const folded = Math.abs(((Math.atan2(x, -y) + 2 * Math.PI + sector) % (2 * sector)) - sector);
  const radius = Math.hypot(x, y);
  // The edge runs from (1, 0) to the notch, in coordinates where the corner lies on the first axis.
  const notchX = inner * Math.cos(sector);
  const notchY = inner * Math.sin(sector);
  const edgeX = notchX - 1;
  const length = Math.hypot(edgeX, notchY);
  return ((radius * Math.cos(folded) - 1) * notchY - radius * Math.sin(folded) * edgeX) / length;
}

/** The kinds of shapes, all within `extent` of their centre. */
export const shapeKinds = {
  disc: (x, y) => Math.hypot(x, y) - 0.9,
  square: (x, y) => box(x, y, 0.75, 0.75),
  triangle: (x, y) => star(x, y, 3, 0.5),
  star: (x, y) => star(x, y, 5, 0.42),
  plus: (x, y) => Math.min(box(x, y, 0.3, 0.95), box(x, y, 0.95, 0.3)),
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.75) - 0.2,
  frame: (x, y) => Math.abs(box(x, y, 0.6, 0.6)) - 0.17,
  bar: (x, y) => box(x, y, 1, 0.28),
  crescent: (x, y) => Math.max(Math.hypot(x, y) - 0.95, 0.75 - Math.hypot(x - 0.5, y)),
  hourglass: (x, y) => Math.max(Math.abs(y) - 0.8, (Math.abs(x) - 0.85 * Math.abs(y) - 0.06) / 1.31),
} as const satisfies Record<string, Distance>;

export type ShapeKind = keyof typeof shapeKinds;

/** Of every shape, in radii: the corner of the frame. */
export const extent = 1.1;

export const textures = ["solid", "striped", "checked"] as const;
export type Texture = (typeof textures)[number];

/** A scene, all lengths in pixels. */
export interface Scene {
  readonly size: number;
  readonly kind: ShapeKind;
  readonly texture: Texture;
  readonly centre: readonly [x: number, y: number];
  readonly radius: number;
  /** Radians, clockwise. */
  readonly angle: number;
  /** Colours have values in [0, 255]. */
  readonly colour: Colour;
  /** The second colour of a texture. */
  readonly accent: Colour;
  /** Of the background at its two ends. */
  readonly ground: readonly [Colour, Colour];
  /** Direction of the background's gradient, radians. */
  readonly slope: number;
  /** Largest change of a value by noise. */
  readonly noise: number;
}

export interface Drawing {
  /** [size, size, 3] */
  readonly pixels: Uint8Array;
  /** The smallest box around all pixels that the shape touches. */
  readonly box: Box;
}

/** Below this share of a pixel a shape does not touch it: it could not change a byte for certain. */
const leastCoverage = 1 / 16;

/**
 * Draws a scene. `noise` is drawn from a stream of its own, so that the same scene without its shape
 * (`drawScene(scene, noise, false)`) has the same background to the last bit.
 */
export function drawScene(scene: Scene, noise: Stream, withShape = true): Drawing {
  const { size, radius } = scene;
  const distance: Distance = shapeKinds[scene.kind];
  const [centreX, centreY] = scene.centre;
  const [start, end] = scene.ground;
  const cos = Math.cos(scene.angle) / radius;
  const sin = Math.sin(scene.angle) / radius;
  const slopeX = Math.cos(scene.slope) / size;
  const slopeY = Math.sin(scene.slope) / size;
  const reach = withShape ? radius * extent + 2 : 0;
  const pixels = new Uint8Array(size * size * 3);
  let top = size;
  let left = size;
  let bottom = 0;
  let right = 0;
  for (let row = 0; row < size; row++) {
    const dy = row + 0.5 - centreY;
    for (let column = 0; column < size; column++) {
      const dx = column + 0.5 - centreX;
      let coverage = 0;
      let ink = scene.colour;
      if (Math.abs(dx) < reach && Math.abs(dy) < reach) {
        const x = dx * cos + dy * sin;
        const y = dy * cos - dx * sin;
        coverage = Math.min(0.5 - distance(x, y) * radius, 1);
        if (coverage < leastCoverage) coverage = 0;
        else {
          if (isAccent(scene.texture, x, y, radius)) ink = scene.accent;
          top = Math.min(top, row);
          left = Math.min(left, column);
          bottom = Math.max(bottom, row + 1);
          right = Math.max(right, column + 1);
        }
      }
      const along = 0.5 + (column + 0.5 - size / 2) * slopeX + (row + 0.5 - size / 2) * slopeY;
      const share = Math.min(Math.max(along, 0), 1);
      const bits = noise.uint32();
      const at = (row * size + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const ground = start[channel]! + (end[channel]! - start[channel]!) * share;
        const speck = (((bits >>> (8 * channel)) & 255) / 127.5 - 1) * scene.noise;
        const value = ground + (ink[channel]! - ground) * coverage + speck;
        pixels[at + channel] = Math.round(Math.min(Math.max(value, 0), 255));
      }
    }
  }
  return { pixels, box: [top, left, bottom, right] };
}

/** Stripes across the shape, or checks, in its own coordinates; never finer than 2 pixels. */
function isAccent(texture: Texture, x: number, y: number, radius: number): boolean {
  if (texture === "solid") return false;
  const period = Math.max(0.4, 2 / radius);
  const odd = (value: number): boolean => (Math.floor(value / period + 0.5) & 1) === 1;
  return texture === "striped" ? odd(x) : odd(x) !== odd(y);
}

/** Hue in turns, saturation and value in [0, 1] -> [0, 255]. */
export function hsv(hue: number, saturation: number, value: number): Colour {
  const channel = (shift: number): number => {
    const place = (shift + hue * 6) % 6;
    return 255 * value * (1 - saturation * Math.max(0, Math.min(place, 4 - place, 1)));
  };
  return [channel(5), channel(3), channel(1)];
}
