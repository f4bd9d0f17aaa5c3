/** docs/cli.md, docs/api.md and docs/config.md are what the program, the types and the schemas say now. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createProgram } from "../cli/program.js";
import { apiPage } from "../scripts/reference/api.js";
import { commandLinePage } from "../scripts/reference/command-line.js";
import { configPage } from "../scripts/reference/config.js";

const page = (name: string): string => readFileSync(join(import.meta.dirname, "../docs", name), "utf8");

test("docs/cli.md lists every command and option: else run `npm run reference`", () => {
  expect(page("cli.md")).toBe(commandLinePage(createProgram()));
});

test("docs/api.md lists every export with its types and comments: else run `npm run reference`", () => {
  expect(page("api.md")).toBe(apiPage());
});

test("docs/config.md lists every option with type, default and description: else run `npm run reference`", () => {
  expect(page("config.md")).toBe(configPage());
  const undescribed = page("config.md").match(/^\| `\w+` \|.*\| {1,2}\|$/gm) ?? [];
  expect(undescribed).toEqual([]);
});
