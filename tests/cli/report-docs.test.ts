/** docs/report.md: its commands work in the order in which they stand, and its options are those that there are. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../cli/program.js";
import { type Ran, trainer, workplace } from "../support/run-cli.js";

const { inside } = workplace();
const page = readFileSync(fileURLToPath(new URL("../../docs/report.md", import.meta.url)), "utf8");
const commands = [...page.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block]) => block!.trim().split("\n"));

/** Fewer images than a reader would take: what is asked is whether the commands fit together. */
const small = (command: string): string[] => {
  const [program, ...args] = command.split(" ");
  expect(program).toBe("trainer");
  return [...args, ...(args.includes("--preset") ? ["--limit-train", "120", "--limit-test", "40"] : [])];
};

it("its commands work, one after the other", async () => {
  const ran: [string, Ran][] = [];
  for (const command of commands) {
    const result = await trainer(...small(command));
    expect(result, command).toMatchObject({ code: 0 });
    ran.push([command, result]);
  }
  const of = (beginning: string): Ran => ran.find(([command]) => command.startsWith(`trainer ${beginning}`))![1];
  expect(of("--preset quickstart --epochs 2 --seed 1").stdout).toContain("\nreport runs/one/report.html\n");
  expect(of("report").stdout).toBe(`${join(inside, "runs/one/report.html")}\n`);
  expect(of("compare").stdout).toMatch(/^one and 1 more seed /m);
  for (const file of ["runs/one/report.html", "seeds.html", "augmented.png", "runs/one/gradcam/command"]) {
    expect(existsSync(join(inside, file)), file).toBe(true);
  }
});

describe("its options are the command's", () => {
  const find = (names: readonly string[]): Command =>
    names.reduce((command, name) => command.commands.find((each) => each.name() === name)!, createProgram());
  const names = (command: Command): string[] => command.options.map(({ long }) => long!);
  const shared = names(find(["plan"])); // what every command that makes a run takes

  it.each(["report", "compare", "data preview", "lr-find", "gradcam"])("%s", (name) => {
    const section = page.split(`\n## trainer ${name}\n`)[1]!.split("\n## ")[0]!;
    const listed = [...section.matchAll(/^\|.*$/gm)].flatMap(([row]) =>
      [...row.split("|")[1]!.matchAll(/--[a-z][\w-]*/g)].map(([option]) => option),
    );
    const there = names(find(name.split(" ")));
    expect(listed.filter((option) => !there.includes(option))).toEqual([]);
    const own = ["lr-find", "data preview"].includes(name) ? there.filter((option) => !shared.includes(option)) : there;
    expect(own.filter((option) => !listed.includes(option))).toEqual([]);
  });
});
