/** Operations on 8-bit images, for plugins: pure functions, and the draws of their parameters. */
export * from "./auto-augment.js";
export * from "./color.js";
export * from "./draws.js";
export * from "./geometry.js";
export * from "./resize.js";
