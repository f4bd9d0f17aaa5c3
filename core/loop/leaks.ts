/**
 * Finds plugins that leak tensors. Around every call of a plugin, tensors are counted that no scope and no tape will
 * free: those are the plugin's. Their number may change within a step, and grow once when the plugin makes its state.
 * If it grows again and again, the plugin leaks, and the hook in which it grew is named.
 *
 * Counting reads a few numbers a call and the marks of the tensors in open scopes; no tensor's values.
 */
import { engine, type Tensor } from "@tensorflow/tfjs-core";

export interface LeakDetector {
  /** Makes a call and counts the tensors that the plugin holds more after it; `place` is a hook, `save`, `load` … */
  watch<T>(plugin: string, place: string, call: () => T): T;
  /** As `watch`, for a call that ends later. Not counted where other trainers worked meanwhile. */
  watchAsync<T>(plugin: string, place: string, call: () => Promise<T>): Promise<T>;
  /** Counts tensors that were made elsewhere and belong to the plugin now. */
  adopt(plugin: string, tensors: number): void;
  /** To be called where plugins hold what they hold from step to step. Reports new leaks. */
  check(): void;
  /** To be called after a plugin's `dispose`. Reports what it left behind. */
  close(plugin: string): void;
}

/** A hook leaks after so many new highs of its plugin, none of them undone: the first may be the plugin's state. */
const rises = 3;

interface Account {
  held: number;
  /** By place: growth since the last check, and over the whole run. */
  recent: Map<string, number>;
  total: Map<string, number>;
  /** Levels that it has risen to and has not come back from, lowest first. */
  levels: { held: number; place: string }[];
  /** Places whose leak was reported. */
  reported: Set<string>;
  /** Some call could not be counted. */
  unknown: boolean;
}

/** Calls of plugins by all trainers of this process. */
let calls = 0;
/** Those of them that are asynchronous and under way. */
let underWay = 0;

/** @param onLeak receives one message for each place in which a plugin leaks */
export function createLeakDetector(onLeak: (message: string) => void): LeakDetector {
  const accounts = new Map<string, Account>();
  let own = 0;
  let ownUnderWay = 0;
  const accountOf = (plugin: string): Account => {
    const known = accounts.get(plugin);
    if (known) return known;
    const account = {
      held: 0,
      recent: new Map(),
      total: new Map(),
      levels: [],
      reported: new Set<string>(),
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
    watch(plugin, place, call) {
      begin();
      const before = ownedTensors();
      try {
        return call();
      } finally {
        book(plugin, place, ownedTensors() - before);
      }
    },
    async watchAsync(plugin, place, call) {
      begin();
      const before = ownedTensors();
      const foreign = calls - own;
      const alone = underWay === ownUnderWay;
      underWay++;
      ownUnderWay++;
      try {
        return await call();
      } finally {
        underWay--;
        ownUnderWay--;
        if (alone && calls - own === foreign) book(plugin, place, ownedTensors() - before);
        else accountOf(plugin).unknown = true;
      }
    },
    adopt: (plugin, tensors) => book(plugin, "load", tensors),
    check() {
      for (const [plugin, account] of accounts) {
        const { held, recent, levels, reported } = account;
        if (recent.size === 0) continue;
        const place = largest(recent);
        recent.clear();
        while (levels.length > 0 && levels.at(-1)!.held > held) levels.pop();
        if (held <= (levels.at(-1)?.held ?? 0) || reported.has(place)) continue;
        levels.push({ held, place });
        if (account.unknown || levels.filter((level) => level.place === place).length < rises) continue;
        reported.add(place);
        onLeak(
          `Plugin "${plugin}" leaks: it holds ${held} tensors, and more from time to time, made in ${where(place)}. ` +
            "Dispose of what it no longer needs.",
        );
      }
    },
    close(plugin) {
      const { held, total, reported, unknown } = accountOf(plugin);
      if (held <= 0 || reported.size > 0 || unknown) return;
      onLeak(`Plugin "${plugin}" left ${held} tensors behind, made in ${where(largest(total))}. Free them in dispose.`);
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
