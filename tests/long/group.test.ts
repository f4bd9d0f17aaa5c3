/** Groups under every fault: each survivor says one clear line, ends with 69, and all resume to the same bits. */
import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { stream } from "../../core/rng.js";
import { type Fault, launch, launched, steps } from "../support/launched.js";
import { nextPort, rankVariables, runGroup, scenarioCommand, startProcess } from "../support/ranks.js";
import { type Ended, finished, start } from "../support/trainer-process.js";

const folder = mkdtempSync(join(tmpdir(), "fitloop-group-"));
const at = (name: string): string => join(folder, name);
const minutes = (count: number) => ({ timeout: count * 60_000 });

let reference: Promise<string> | undefined;
/** What a run that nothing happens to ends with. */
function quiet(): Promise<string> {
  return (reference ??= launched(launch(at("quiet"), 2)).then(({ code, stderr }) => {
    expect(code, stderr).toBe(0);
    return finished(at("quiet"), steps);
  }));
}

async function resumes(name: string): Promise<void> {
  const { code, stderr } = await launched(launch(at(name), 2));
  expect(code, stderr).toBe(0);
  expect(finished(at(name), steps)).toBe(await quiet());
}

const faults: Fault[] = [0, 1].flatMap((rank) =>
  (["SIGKILL", "SIGSTOP"] as const).flatMap((signal) => [
    { rank, signal, hook: "afterBackward", count: 1 },
    { rank, signal, hook: "onStep", count: 5 },
    { rank, signal, hook: "beforeEvaluate", count: 2 },
  ]),
) as Fault[];

describe("a rank that is lost", () => {
  it.each(faults)("rank $rank by $signal in $hook", minutes(8), async (fault) => {
    const name = `${fault.rank}-${fault.signal}-${fault.hook}`;
    const lost = await launched(launch(at(name), 2), fault);
    expect(lost.code, lost.stderr).toBe(69);
    expect(lost.stderr).toMatch(
      new RegExp(`^(rank 1: )?trainer: Lost rank ${fault.rank} \\(127\\.0\\.0\\.1:\\d+\\): `, "m"),
    );
    expect(lost.stderr).not.toContain("bug in fitloop");
    await resumes(name);
  });

  it("ten times at random places, and the run ends with the same bits", minutes(20), async () => {
    const random = stream(Number(process.env.KILL_SEED ?? 1), "group-kills");
    for (let kill = 0; kill < 10; kill++) {
      const count = 1 + random.int(4); // micro-batches; a step has two
      const fault: Fault = { rank: random.int(2), hook: "afterBackward", count, signal: "SIGKILL" };
      const { code, stderr } = await launched(launch(at("ten"), 2), fault);
      if (code === 0) break; // too little was left of it
      expect(code, stderr).toBe(69);
    }
    await resumes("ten");
  });
});

it("Ctrl-C to the launcher stops all with a checkpoint", minutes(8), async () => {
  const fault: Fault = { rank: 0, hook: "onStep", count: 3, signal: "SIGINT", to: "launcher" };
  const stopped = await launched(launch(at("interrupted"), 2), fault);
  expect(stopped.code, stopped.stderr).toBe(130);
  expect(stopped.stderr).toContain("To resume it: trainer --resume");
  await resumes("interrupted");
});

it("a second signal to the launcher ends ranks that hang", minutes(4), async () => {
  let third = (): void => {};
  const stepped = new Promise<void>((resolve) => (third = resolve));
  const command = launch(at("hanging"), 2, "--set", "plugins.data-parallel.watchdogSeconds=200");
  const { child, ended } = start(command, {
    env: { FAULT: "1 onStep 3 SIGSTOP " },
    onLine: (line) => void (/"event":"step".*"step":3,/.test(line) && third()),
  });
  await stepped;
  await setTimeout(3000); // rank 0 waits in a sum by now
  child.kill("SIGTERM");
  await setTimeout(3000);
  child.kill("SIGTERM");
  const since = performance.now();
  const { code, stderr } = await ended;
  expect(performance.now() - since).toBeLessThan(20_000);
  expect(code, stderr).toBe(69);
  for (const rank of [0, 1]) expect(stderr).toContain(`rank ${rank} was killed (SIGKILL)`);
});

/** Ranks of a group, each as it is told. */
const ended = (...ranks: Parameters<typeof startProcess>[]): Promise<Ended[]> =>
  Promise.all(ranks.map((each) => startProcess(...each).ended));

describe("a group that does not come about", () => {
  it("says which rank did not start", minutes(3), async () => {
    const PORT = String(nextPort(2));
    const command = scenarioCommand(["again"]);
    const [alone] = await ended([command, { ...rankVariables(0, 2), PORT, START: "3" }]);
    expect(alone!.code).not.toBe(0);
    expect(alone!.stderr).toContain(
      `Rank 1 did not start: nothing listens on 127.0.0.1:${Number(PORT) + 1} after 3 s.`,
    );
  });

  it("says that a port is taken", minutes(3), async () => {
    const PORT = String(nextPort(2));
    const server = createServer().listen(Number(PORT), "127.0.0.1");
    const [alone] = await ended([scenarioCommand(["again"]), { ...rankVariables(0, 2), PORT, START: "3" }]);
    server.close();
    expect(alone!.stderr).toContain(`Rank 0 of 2 cannot listen on 127.0.0.1:${PORT}: `);
    expect(alone!.stderr).toContain("choose another one with --port");
  });

  it("says so where the ranks think that they are two and three", minutes(3), async () => {
    const PORT = String(nextPort(3));
    const env = { PORT, START: "6" };
    const found = await ended(
      [scenarioCommand(["again"]), { ...rankVariables(0, 2), ...env }],
      [scenarioCommand(["again"]), { ...rankVariables(1, 3), ...env }],
    );
    for (const { code, stderr } of found) {
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/Rank 2 did not start|Lost rank 1|Lost another process/);
    }
  });
});

it("four processes have the same bits, and train what one does", minutes(10), async () => {
  const names = ["law", "draws", "everything", "again", "evaluation", "halt", "skip", "stop"];
  const [first, ...others] = await runGroup(4, names);
  const [two] = await runGroup(2, ["evaluation"]);
  expect(first!.evaluation).toEqual(two!.evaluation);
  expect(first!.again!.hash).toBe(first!.everything!.hash);
  for (const other of others) {
    for (const name of ["everything", "again", "evaluation", "skip"]) expect(other[name]).toEqual(first![name]);
    for (const name of ["law", "draws", "stop"]) expect(other[name]!.hash).toBe(first![name]!.hash);
    expect(other.halt!.code).toBe("ERR_DIVERGED");
  }
});

it(
  "every state is the same in both, with every plugin, and a run resumes from each to the same bits",
  minutes(20),
  async () => {
    const [first, second] = await runGroup(2, ["resumes", "plugins"]);
    expect(second).toEqual(first);
    expect((first!.resumes!.states as unknown[]).length).toBeGreaterThan(15);
    expect(first!.resumes!.ends).toEqual([first!.resumes!.hash]);
    expect(Object.keys(first!.plugins!.hashes as object).length).toBeGreaterThan(40);
  },
);

it("20,000 sums take no thread and no memory", minutes(20), async () => {
  for (const { soak } of await runGroup(2, ["soak"])) {
    const seen = soak!.seen as { threads: number; megabytes: number; tensors: number }[];
    const [, early, , , late] = seen;
    expect(late!.threads).toBeLessThanOrEqual(early!.threads + 4);
    expect(late!.tensors).toBe(early!.tensors);
    expect(late!.megabytes).toBeLessThan(early!.megabytes + 20);
  }
});
