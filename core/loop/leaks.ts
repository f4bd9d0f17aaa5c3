/**
 * Who keeps tensors. Around every call of a plugin it is counted what is there afterwards that no scope and no tape will
 * free: that is the plugin's. What a plugin holds may come and go within a step and grow once, when its state is made;
 * if it grows again and again it leaks, and the hook that it grew in is named.
 *
 * Counting reads a handful of numbers a call and the marks of the tensors in open scopes; no tensor's values.
 */
import { engine, type Tensor } from "@tensorflow/tfjs-core";

/** A plugin that leaks, in words. */
export type TellLeak = (message: string) => void;

export interface Ledger {
  /** Makes a call and counts what the plugin holds more after it; `place` is a hook, or another of its functions. */
  counted<T>(plugin: string, place: string, call: () => T): T;
  /** As `counted`, for a call that ends later. Not counted where other trainers were at work meanwhile. */
  eventually<T>(plugin: string, place: string, call: () => Promise<T>): Promise<T>;
  /** Tensors that were made elsewhere and are the plugin's now. */
  given(plugin: string, tensors: number): void;
  /** At a place where plugins hold what they hold from step to step. Tells new leaks. */
  settle(): void;
  /** After a plugin's `dispose`. Tells what it has left behind. */
  close(plugin: string): void;
}

/** So often a hook must have left its plugin with more than ever, and none of it undone: the first time may be its state. */
const rises = 3;

interface Account {
  held: number;
  /** By place: what came and went since the last settling, and over the whole run. */
  recent: Map<string, number>;
  total: Map<string, number>;
  /** Levels that it has risen to and has not come back from, lowest first. */
  levels: { held: number; place: string }[];
  told: Set<string>;
  /** Something was not counted. */
  unknown: boolean;
}

/** Calls of plugins by all trainers of this process. */
let calls = 0;

export function createLedger(tell: TellLeak): Ledger {
  const accounts = new Map<string, Account>();
  let own = 0;
  const accountOf = (plugin: string): Account => {
    const known = accounts.get(plugin);
    if (known) return known;
    const account = {
      held: 0,
      recent: new Map(),
      total: new Map(),
      levels: [],
      told: new Set<string>(),
      unknown: false,
    };
    accounts.set(plugin, account);
    return account;
  };
  const begin = (): void => {
    calls++;
    own++;
  };
  const book = (plugin: string, place: string, more: number): void => {
    if (more === 0) return;
    const account = accountOf(plugin);
    account.held += more;
    for (const sums of [account.recent, account.total]) sums.set(place, (sums.get(place) ?? 0) + more);
  };
  return {
    counted(plugin, place, call) {
      begin();
      const before = ownedTensors();
      try {
        return call();
      } finally {
        book(plugin, place, ownedTensors() - before);
      }
    },
    async eventually(plugin, place, call) {
      begin();
      const before = ownedTensors();
      const foreign = calls - own;
      try {
        return await call();
      } finally {
        if (calls - own === foreign) book(plugin, place, ownedTensors() - before);
        else accountOf(plugin).unknown = true;
      }
    },
    given: (plugin, tensors) => book(plugin, "load", tensors),
    settle() {
      for (const [plugin, account] of accounts) {
        const { held, recent, levels, told } = account;
        if (recent.size === 0) continue;
        const place = largest(recent);
        recent.clear();
        while (levels.length > 0 && levels.at(-1)!.held > held) levels.pop();
        if (held <= (levels.at(-1)?.held ?? 0) || told.has(place)) continue;
        levels.push({ held, place });
        if (account.unknown || levels.filter((level) => level.place === place).length < rises) continue;
        told.add(place);
        tell(
          `Plugin "${plugin}" leaks: it holds ${held} tensors now and more from time to time, and ${where(place)} is ` +
            "where they are made. It must dispose of what it no longer needs.",
        );
      }
    },
    close(plugin) {
      const { held, total, told, unknown } = accountOf(plugin);
      if (held <= 0 || told.size > 0 || unknown) return;
      tell(
        `Plugin "${plugin}" has left ${held} tensors behind, made in ${where(largest(total))}. It must dispose of them.`,
      );
    },
  };
}

const where = (place: string): string =>
  ["apply", "save", "load"].includes(place) ? `its ${place}` : `hook "${place}"`;

const largest = (sums: ReadonlyMap<string, number>): string =>
  [...sums].reduce((most, each) => (each[1] > most[1] ? each : most))[0];

/** Tensors that live until somebody disposes of them: those of open scopes, and what the tape keeps, apart. */
function ownedTensors(): number {
  const { numTensors, scopeStack, activeTape } = engine().state;
  const scoped = scopeStack.reduce(
    (sum, { track }) => sum + track.reduce((count, each) => count + Number(isLoose(each)), 0),
    0,
  );
  const taped = (activeTape ?? []).reduce((sum, { saved }) => sum + (saved?.filter(isLiving).length ?? 0), 0);
  return numTensors - scoped - taped;
}

const isLiving = (tensor: Tensor): boolean => !tensor.isDisposed;
const isLoose = (tensor: Tensor): boolean => !tensor.kept && !tensor.isDisposed;
