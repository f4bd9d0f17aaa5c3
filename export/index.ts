/** A run as files for other runtimes. */
export {
  type Accuracy,
  type Comparison,
  type ExportOptions,
  type ExportResult,
  type ExportTarget,
  exportRun,
  type Format,
  formats,
  type Quantization,
  quantizations,
} from "./export.js";
