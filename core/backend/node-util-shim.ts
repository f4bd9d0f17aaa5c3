import { createRequire } from "node:module";
import type * as util from "node:util";

/**
 * Gives Node 23 and later back two functions of `node:util` that tfjs-node 4.22 calls. They are set on the CommonJS
 * object, since a module namespace cannot be written to.
 */
export function restoreNodeUtil(): void {
  const target = createRequire(import.meta.url)("node:util") as Partial<typeof util>;
  target.isNullOrUndefined ??= (value): value is null | undefined => value === null || value === undefined;
  target.isArray ??= Array.isArray;
}
