/** The command that a report shows: typed again it makes the run again, wherever the first one lies. */
import { expect, it } from "vitest";
import { typedCommand } from "../../cli/fit.js";

it.each([
  ["--preset small --out here --seed 2", "trainer --preset small --seed 2"],
  ["--out=here --preset small", "trainer --preset small"],
  ["--preset small --out here --resume", "trainer --preset small"],
  ["--resume runs/small-1 --seed 2", "trainer --resume runs/small-1 --seed 2"],
  ["--data out --out a --without out", "trainer --data out --without out"],
  [
    "--preset small --set plugins.cutmix.alpha=0.2 --with mixup",
    "trainer --preset small --set plugins.cutmix.alpha=0.2 --with mixup",
  ],
])("%s", (typed, shown) => {
  expect(typedCommand(typed.split(" "))).toBe(shown);
});

it("quotes what a shell would take apart", () => {
  expect(typedCommand(["--data", "it's here", "--out", "a b"])).toBe("trainer --data 'it'\\''s here'");
});
