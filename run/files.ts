/** A run's folder: the names of its files, and the record of its config. */
import { type ConfigRecord, configSchema } from "../core/config/config.js";
import type { DataRecord } from "./data-record.js";
import type { Extension } from "./extension.js";

/** Names inside a run's folder. */
export const runFiles = {
  config: "config.resolved.json",
  metrics: "metrics.jsonl",
  summary: "summary.json",
  weights: "weights.safetensors",
  checkpoints: "checkpoints",
} as const;

/** A config file as a run remembers it. */
export interface ConfigSource {
  readonly path: string;
  /** Over the config and every local file that it imports. */
  readonly sha256: string;
}

/** What the bits of a run depend on besides its config. */
export interface Environment {
  readonly backend: string;
  readonly backendVersion: string;
  readonly threads: number;
  readonly node: string;
  readonly platform: string;
  /** Its model, where the system reports it; records of earlier versions have neither. */
  readonly processor?: string;
  /** This package's version. */
  readonly fitloop?: string;
  /** That trained together; left out for one. */
  readonly processes?: number;
}

/** `config.resolved.json`. */
export interface RunConfigRecord extends ConfigRecord {
  /** For people: where the config came from. Never loaded because a record names it. */
  readonly source?: ConfigSource;
  /** False where another run of the same config, data and seed has other bits: the schedule followed measured time. */
  readonly repeatable?: false;
  /** Random. This machine remembers by it which config file made the run (`run/origin.ts`). */
  readonly id?: string;
  /** Plugins that take part when the finished run is used: they build the network, or say how it is evaluated. */
  readonly inference?: readonly string[];
  readonly environment?: Environment;
  /** Which data it was made with; records of 0.1.0 lack it. */
  readonly dataset?: DataRecord;
  /** Hashes of the configs that the run has had (`configHash`), the last one last: its checkpoints carry one of them. */
  readonly configs?: readonly string[];
  /** The changes of its length when it was resumed; left out where there is none. */
  readonly extended?: readonly Extension[];
  /** Of all other fields; records of 0.1.0 lack it. */
  readonly checksum?: string;
}

/** The config in a record, without what the run adds to it. */
export function configIn(record: RunConfigRecord): ConfigRecord {
  const fields = Object.keys(configSchema.shape).filter((field) => Object.hasOwn(record, field));
  return Object.fromEntries(fields.map((field) => [field, record[field as keyof ConfigRecord]])) as ConfigRecord;
}

/** The run that is resumed. */
export interface Before {
  readonly record: RunConfigRecord;
  /** Length to which its metrics are cut. */
  readonly metricsBytes: number;
  /** Fields that may differ nevertheless. */
  readonly allowed: readonly string[];
}
