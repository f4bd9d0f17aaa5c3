/**
 * What stands for `@tensorflow/tfjs` in the packed bundle (esbuild's `alias`): tfjs-core, which stays outside the bundle
 * so that a user's plugins share it, and the gradients. The union package would add 240 MB of layers, data and WebGL
 * to an install, and nothing here uses them.
 *
 * The second import is a module that only a bundler can load. It brings copies of the operations that gradients call;
 * they work on the one engine and the one registry that every copy of tfjs-core finds on `globalThis`.
 */
export * from "@tensorflow/tfjs-core";

import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
