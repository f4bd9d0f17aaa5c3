/** What an error looks like on standard error: its message once, and its cause where the message does not tell it. */
import { expect, it, vi } from "vitest";
import { report } from "../../cli/command-line.js";
import { reportUncaught } from "../../cli/uncaught.js";
import { TrainerError } from "../../core/errors.js";

/** What is written while `act` runs, and the exit code it gives. */
function said(act: () => number): { code: number; text: string } {
  let text = "";
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    return { code: act(), text };
  } finally {
    spy.mockRestore();
  }
}

const missing = Object.assign(new Error("ENOENT: no such file or directory, open 'a'"), {
  code: "ENOENT",
  syscall: "open",
});
const tool = new Error("g++ failed:\nno luck", { cause: new Error("Command failed: g++ -c a.cc\nno luck") });

it.each<[string, string, unknown, string]>([
  ["no cause", "It broke.", undefined, ""],
  ["a cause it quotes", `a cannot be read: ${missing.message}.`, missing, ""],
  ["a cause it quotes without its full stop", "It broke: no luck.", new Error("no luck."), ""],
  ["a cause it names by the system's code", "a cannot be read (ENOENT).", missing, ""],
  ["a cause it quotes, which has its own", `The addon: ${tool.message}`, tool, ""],
  ["a cause it does not tell", "It broke.", missing, `  because: ${missing.message}\n`],
  ["a cause behind others", "It broke.", new Error("inner", { cause: missing }), `  because: ${missing.message}\n`],
  ["a cause that is no error", "It broke.", "words", ""],
])("a message with %s", (_, message, cause, more) => {
  const { code, text } = said(() => report(new TrainerError("ERR_DATA", message, { cause })));
  expect(text).toBe(`trainer: ${message}\n${more}`);
  expect(code).toBe(65);
});

it("a fault of our own has its stack, and asks to be reported", () => {
  const { code, text } = said(() => report(new TypeError("x is not a function")));
  expect(code).toBe(70);
  expect(text).toMatch(/^trainer: unexpected TypeError: x is not a function\n +at [^]*\nThis is a bug in fitloop\./);
});

it.each<[unknown, RegExp]>([
  [new Error("late"), /^trainer: uncaught error: late\n( +at .*\n){3}$/],
  [new RangeError(""), /^trainer: uncaught error: RangeError\n( +at .*\n){3}$/],
  ["words", /^trainer: uncaught error: words\n$/],
  [undefined, /^trainer: uncaught error: undefined\n$/],
])("an uncaught error is one line and its place: %o", (error, says) => {
  const { code, text } = said(() => reportUncaught(error));
  expect(code).toBe(70);
  expect(text).toMatch(says);
});
