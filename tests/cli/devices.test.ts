/** `trainer --devices 2`: one output, one exit code; a killed rank, and a resume to the same bits. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { visibleDevices } from "../../cli/devices.js";
import { type Fault, launch, launchAlone, launched, steps } from "../support/launched.js";
import { trainer } from "../support/run-cli.js";
import { finished } from "../support/trainer-process.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-devices-"));
const at = (name: string): string => join(folder, name);

it("each rank has a GPU of those that the user gives", () => {
  expect(visibleDevices(undefined, 2)).toEqual(["0", "1"]);
  expect(visibleDevices("4,GPU-a,6", 2)).toEqual(["4", "GPU-a"]);
  expect(visibleDevices("", 2)).toEqual(["", ""]);
  expect(visibleDevices("-1", 2)).toEqual(["-1", "-1"]);
  expect(() => visibleDevices("3", 2)).toThrow(
    'expected CUDA_VISIBLE_DEVICES with a GPU for each of 2 processes, got "3".',
  );
});

describe("--devices 2", () => {
  it("trains, and after a kill resumes to the same bits", { timeout: 300_000 }, async () => {
    const quiet = await launched(launch(at("quiet"), 2));
    const lost = await launched(launch(at("killed"), 2), {
      rank: 1,
      hook: "afterBackward",
      count: 9,
      signal: "SIGKILL",
    });
    expect(quiet.code, quiet.stderr).toBe(0);
    expect(quiet.stderr).toMatch(
      /^Rank 0 of 2 processes on this machine .*\. Each trains on 4 of the 8 images of a batch/m,
    );
    expect(quiet.stderr).not.toContain("rank 1");
    const record = JSON.parse(readFileSync(join(at("quiet"), "config.resolved.json"), "utf8")) as {
      environment: { processes: number };
    };
    expect(record.environment.processes).toBe(2);

    expect(lost.code, lost.stderr).toBe(69);
    expect(lost.stderr).toMatch(/^trainer: Lost rank 1 \(127\.0\.0\.1:\d+\): it was killed, hangs, failed/m);
    expect(lost.stderr).toMatch(/^rank 1 was killed \(SIGKILL\)$/m);
    expect(lost.stderr).toMatch(/^The run is kept up to step \d+\. To resume it: /m);
    vi.stubEnv("FAULT", "none"); // the config has its plugin
    const alone = await trainer(...launchAlone(at("killed")).slice(2));
    vi.unstubAllEnvs();
    expect(alone.code).toBe(2);
    expect(alone.stderr).toContain(
      "The run was trained by 2 processes, and would now be by one process: the sums would have other bits. " +
        "Start it with --devices 2, or allow the change with --allow-change devices.",
    );
    const resumed = await launched(launch(at("killed"), 2));
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(finished(at("killed"), steps)).toBe(finished(at("quiet"), steps));

    // Another number of processes, in both directions.
    const more = ["--allow-change", "devices", "--max-steps"];
    const fewer = await launched(launchAlone(at("killed"), ...more, String(steps + 1)));
    expect(fewer.code, fewer.stderr).toBe(0);
    const again = await launched(launch(at("killed"), 2, ...more, String(steps + 2)));
    expect(again.code, again.stderr).toBe(0);
    finished(at("killed"), steps + 2);
  });

  it.each([
    ["the launcher and rank 0", { rank: 0, to: "both" }, 1],
    ["another rank", { rank: 1 }, 0],
  ] as const)("SIGTERM to %s stops all with a checkpoint", { timeout: 120_000 }, async (name, whom, signals) => {
    const fault: Fault = { ...whom, hook: "onStep", count: 3, signal: "SIGTERM" };
    const stopped = await launched(launch(at(name), 2), fault);
    expect(stopped.code, stopped.stderr).toBe(143);
    expect(stopped.stderr.split("SIGTERM: stopping after this step")).toHaveLength(1 + signals);
    expect(stopped.stderr).toContain("To resume it: trainer --resume");
  });

  it("is refused in a process that is a rank, and its options in one that is none", async () => {
    vi.stubEnv("RANK", "0");
    vi.stubEnv("WORLD_SIZE", "2");
    const rank = await trainer("--preset", "quickstart", "--devices", "2");
    vi.unstubAllEnvs();
    expect(rank.code).toBe(2);
    expect(rank.stderr).toContain("--devices starts the processes itself, and this one is a rank already");
    const both = await trainer("--preset", "quickstart", "--devices", "2", "--port", "3000", "--insecure-network");
    expect(both.code).toBe(2);
    expect(both.stderr).toContain("--devices chooses addresses itself. Remove --port and --insecure-network.");
    const none = await trainer("--preset", "quickstart", "--hosts", "a,b");
    expect(none.code).toBe(2);
    expect(none.stderr).toContain("nothing names this one's rank. Start it with srun, mpirun or torchrun");
  });
});
