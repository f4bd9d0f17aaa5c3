/** What was asked for reaches standard output, or the exit code says that it did not; comments may be lost. */
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const bin = fileURLToPath(new URL("../../bin/trainer.mjs", import.meta.url));
const shell = (words: string) => spawnSync("bash", ["-c", `node ${bin} ${words}`], { encoding: "utf8" });

it.each(["presets", "presets --json", "plugins", "--help"])("a disk that is full: trainer %s ends with 74", (words) => {
  const { status, stderr } = shell(`${words} >/dev/full`);
  expect(stderr).toMatch(
    /^trainer: Standard output cannot be written: ENOSPC.*\. Make room, or redirect it to another place\.$/m,
  );
  expect(stderr.match(/trainer:/g)).toHaveLength(1);
  expect(status).toBe(74);
});

it("another failure keeps its own code", () => {
  expect(shell("presets --nonsense >/dev/full").status).toBe(2);
});

it.each([
  ["standard error on a full disk", "2>/dev/full"],
  ["standard error closed", "2>&-"],
])("%s ends nothing", (_, redirection) => {
  const { status, stdout } = shell(`presets ${redirection}`);
  expect(stdout).toContain("quickstart");
  expect(status).toBe(0);
  expect(shell(`presets --nonsense ${redirection}`).status).toBe(2);
});

it("a reader that leaves early has read enough", () => {
  const codes = execFileSync("bash", ["-c", `node ${bin} plugins | head -1 >/dev/null; echo "\${PIPESTATUS[@]}"`], {
    encoding: "utf8",
  });
  expect(codes).toBe("0 0\n");
});
