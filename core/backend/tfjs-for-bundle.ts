/**
 * Replaces `@tensorflow/tfjs` in the packed bundle (esbuild's `alias`): tfjs-core, which stays outside the bundle so that
 * a user's plugins share it, and the two parts of the union package that it lacks, the gradients and the tensors' chained
 * methods (`loss.mul(0.5)`). The union package would add 240 MB of layers, data and WebGL to an install.
 *
 * The last two imports are modules that only a bundler can load. They bring copies of operations, which work on the one
 * engine, the one registry and the one class Tensor that every copy of tfjs-core finds on `globalThis`.
 */
export * from "@tensorflow/tfjs-core";

import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
