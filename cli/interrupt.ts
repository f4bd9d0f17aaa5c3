/** What ends a run of the command line from outside: signals, and uncaught errors. */
import type { Emitter } from "mitt";
import { exitCodes, reasonOf, TrainerError } from "../core/errors.js";
import { forbidExit } from "../core/exit.js";
import type { Events } from "../core/loop/events.js";
import { tell } from "./terminal.js";
import { handleUncaught, reportUncaught } from "./uncaught.js";

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Of the signal that came, if one did. */
  readonly exitCode: number | undefined;
  /** Receives the run's events. */
  watch(events: Emitter<Events>): void;
  /** @throws TrainerError ERR_PLUGIN for an uncaught error, if there was one */
  throwUncaught(): void;
  stop(): void;
}

/**
 * Listens until `stop`. An uncaught error stops the run as a signal does; `process.exit` becomes an error of
 * its caller.
 *
 * SIGINT, SIGTERM and SIGHUP stop the run after the micro-batch under way. A second one leaves at once, and so does the
 * first while data and backend are still loading: there is nothing to save yet.
 *
 * A second SIGHUP does not: where a terminal is closed, the shell sends one and the system another, and nobody insists.
 * Under nohup it stops the run as well: Node undoes an ignored SIGHUP before any code of ours runs, and nothing tells that
 * it was ignored.
 *
 * @param passedOn whether a launcher passes signals on: one that goes to a whole group of processes then comes twice
 */
export function listenForEnds({ passedOn = false } = {}): Interrupt {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let first: number | undefined;
  let failure: { error: unknown } | undefined;
  let training = false;
  const allowExit = forbidExit((call) => `${call} was called while the run was on`);
  const leave = (code: number): never => {
    allowExit();
    process.exit(code); // releases the run's lock
  };
  const uncaught = handleUncaught((error) => {
    if (!training) leave(reportUncaught(error));
    failure ??= { error };
    controller.abort("an uncaught error");
  });
  const codes = { SIGINT: exitCodes.sigint, SIGTERM: exitCodes.sigterm, SIGHUP: exitCodes.sighup } as const;
  const handlers = Object.entries(codes).map(([name, code]) => {
    const handler = (): void => {
      if (exitCode !== undefined && name === "SIGHUP") return;
      if (passedOn && first !== undefined && isSameStop(first)) return;
      first ??= performance.now();
      if (exitCode !== undefined || !training) leave(exitCode ?? code);
      exitCode = code;
      tell(`\n${name}: stopping after this step; once more to leave at once`);
      controller.abort(name);
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    watch: (events) => events.on("fit:start", () => (training = true)),
    throwUncaught() {
      if (failure) throw uncaughtError(failure.error);
    },
    stop() {
      for (const { name, handler } of handlers) process.off(name, handler);
      uncaught.stop();
      allowExit();
    },
  };
}

/** Whether a signal, after one at `first`, still belongs to the same stop: sent to a process and to its launcher, say. */
export const isSameStop = (first: number): boolean => performance.now() - first < 2000;

const uncaughtError = (cause: unknown): TrainerError =>
  new TrainerError(
    "ERR_PLUGIN",
    `An uncaught error ended the run: ${reasonOf(cause)}. It comes from a timer, a listener or a promise of the config ` +
      "or a plugin. The run was saved: resume it with --resume.",
    { cause },
  );
