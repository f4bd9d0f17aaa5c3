/** Loading TensorFlow's addon without the lines that it prints before its own log level applies. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { loaderName } from "./install/cache.js";

const load = createRequire(import.meta.url);

interface Loader {
  /** Loads a shared library. Returns what it printed on standard error. */
  load(path: string): string;
  setEnvironment(name: string, value: string): void;
}

/**
 * Loads an addon. Messages below TensorFlow's own level, `TF_CPP_MIN_LOG_LEVEL`, are left out; everything else that its
 * libraries print meanwhile goes to standard error, and all of it if loading fails.
 *
 * @param environment names of variables that the libraries must see
 * @throws what the dynamic loader throws
 */
export function loadQuietly(addon: string, environment: readonly string[] = []): object {
  const path = join(dirname(addon), loaderName);
  if (!existsSync(path)) return load(addon) as object; // the addon of another installer
  const loader = load(path) as Loader;
  for (const name of environment) loader.setEnvironment(name, process.env[name]!);
  const printed = loader.load(addon);
  try {
    const loaded = load(addon) as object;
    print(fromLevel(printed, Number(process.env.TF_CPP_MIN_LOG_LEVEL ?? 0)));
    return loaded;
  } catch (error) {
    print(printed);
    throw error;
  }
}

const print = (text: string): void => {
  if (text !== "") process.stderr.write(text);
};

/** A line of absl's log: `I0000 00:00:1796066920.680398    4464 port.cc:153] text`. */
const logLine = /^([IWEF])\d{4} \d\d:\d\d:\S+\s+\d+ \S+:\d+\] /;

/** The rest of a message about the processor, which has two lines. */
const continuation = /^To enable the following instructions: /;

/** Stands before the first message; says nothing where none is left. */
const preface = /^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR$/;

/**
 * Leaves out log messages below a level, 0 for all, 1 for warnings, 2 for errors, 3 for fatal errors. What is no log
 * message stays.
 */
export function fromLevel(text: string, level: number): string {
  if (level === 0) return text;
  let dropped = false;
  const kept = text.split(/(?<=\n)/).filter((line) => {
    const severity = logLine.exec(line)?.[1];
    if (severity !== undefined) dropped = "IWEF".indexOf(severity) < level;
    else if (!continuation.test(line)) dropped = preface.test(line.trimEnd());
    return !dropped;
  });
  return kept.join("");
}
