/**
 * Every error this project throws on purpose, with the exit code the command line turns it into.
 *
 * Codes are stable: scripts and tests may compare them. A message says what is wrong, where, what came, and what to do.
 */

/** Exit codes of the command line (sysexits where one fits). */
export const exitCodes = {
  done: 0,
  usage: 2,
  data: 65,
  peer: 69,
  plugin: 70,
  output: 73,
  io: 74,
  locked: 75,
  diverged: 76,
  sighup: 129,
  sigint: 130,
  sigterm: 143,
} as const;

/** Error code -> the exit code's name. */
const errorTable = {
  ERR_OPTION: "usage", // an option or config value that does not parse or is out of range
  ERR_UNKNOWN_NAME: "usage", // a preset, plugin, option or key that does not exist
  ERR_CONFIG: "usage", // no config, or one that cannot be loaded or understood
  ERR_COMPOSITION: "usage", // plugins that cannot go together
  ERR_BACKEND: "usage", // a backend that is asked for and not there
  ERR_RESUME: "usage", // a run that cannot be resumed as asked
  ERR_DATA: "data", // a file that is not there; data that is damaged or contradicts itself
  ERR_WEIGHTS: "data", // a weights file that is damaged or does not fit the model
  ERR_EXPORT: "data", // a model that no format can hold, or whose file would answer otherwise
  ERR_DOWNLOAD: "data", // a download that failed or came out different
  ERR_PLUGIN: "plugin", // a plugin that threw, or returned what its hook refuses
  ERR_INTERNAL: "plugin", // a broken promise of our own
  ERR_OUTPUT: "output", // a run folder or file that cannot be created
  ERR_IO: "io", // reading or writing failed
  ERR_LOCKED: "locked", // another process holds the run
  ERR_PEER: "peer", // another process of the group that is lost, does not come, or trains another run
  ERR_DIVERGED: "diverged", // NaN or infinity in loss, gradients or weights
} as const satisfies Record<string, keyof typeof exitCodes>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorDetails {
  /** The error behind this one; shown below the message. */
  cause?: unknown;
  /** The plugin and the hook at fault, where one is. */
  plugin?: string;
  hook?: string;
}

/** What an error says, in words also where something else was thrown. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  try {
    return `it threw ${String(thrown)}`;
  } catch {
    return "it threw an object that has no text"; // Object.create(null), say
  }
}

/** An error with a stable code, a message for people, and an exit code. */
export class TrainerError extends Error {
  override readonly name = "TrainerError";
  readonly code: ErrorCode;
  readonly plugin: string | undefined;
  readonly hook: string | undefined;

  constructor(code: ErrorCode, message: string, { cause, plugin, hook }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.plugin = plugin;
    this.hook = hook;
  }

  /** What a process that dies of this error exits with. */
  get exitCode(): number {
    return exitCodes[errorTable[this.code]];
  }
}
