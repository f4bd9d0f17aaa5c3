/** A run as files for other runtimes. */
export {
  type ExportedFile,
  type ExportOptions,
  type ExportResult,
  type ExportTarget,
  exportRun,
  type Format,
  formats,
  type Quantization,
  quantizations,
} from "./export.js";
export type { Accuracy, Comparison } from "./int8.js";
