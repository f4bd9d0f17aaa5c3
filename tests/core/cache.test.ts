import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { cacheRoot } from "../../core/cache.js";

describe("the place of the cache", () => {
  const home = join(homedir(), ".cache", "fitloop");
  it.each([
    [{ FITLOOP_CACHE: "/own", XDG_CACHE_HOME: "/shared" }, "/own"],
    [{ FITLOOP_CACHE: "own" }, resolve("own")],
    [{ FITLOOP_CACHE: "", XDG_CACHE_HOME: "/shared" }, "/shared/fitloop"],
    [{ XDG_CACHE_HOME: "relative" }, home],
    [{ XDG_CACHE_HOME: "" }, home],
    [{}, home],
  ])("%o: %s", (env, place) => {
    expect(cacheRoot(env)).toBe(place);
  });
});
