/** A run as files for other runtimes. */
export { type ExportedFile, type ExportResult, exportRun } from "./export.js";
export type { Accuracy, Comparison } from "./int8.js";
export {
  type ExportOptions,
  type ExportTarget,
  type Format,
  formats,
  type Quantization,
  quantizations,
} from "./options.js";
