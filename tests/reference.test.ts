/** docs/cli.md and docs/api.md are what the program and the types say now. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createProgram } from "../cli/program.js";
import { apiPage } from "../scripts/reference/api.js";
import { commandLinePage } from "../scripts/reference/command-line.js";

const page = (name: string): string => readFileSync(join(import.meta.dirname, "../docs", name), "utf8");

test("docs/cli.md lists every command and option: else run `npm run reference`", () => {
  expect(page("cli.md")).toBe(commandLinePage(createProgram()));
});

test("docs/api.md lists every export with its types and comments: else run `npm run reference`", () => {
  expect(page("api.md")).toBe(apiPage());
});
