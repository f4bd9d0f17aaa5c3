/** Reading a weights file that a user names: what it is, if it is no safetensors file, and what to do then. */
import { open, readdir, stat } from "node:fs/promises";
import { TrainerError } from "../errors.js";

/** A Node buffer of one read holds no more. */
const mostBytes = 2 ** 31 - 1;

const convert =
  "Convert it once in Python: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'weights.safetensors'). " +
  "Only safetensors files are read, since a pickle can run code";

/** Other files that people give as weights, by their first bytes. */
const kinds: readonly { readonly start: RegExp; readonly is: string; readonly todo: string }[] = [
  { start: /^PK\x03\x04/, is: "a zip file, as torch.save writes it (.pth, .pt, .bin)", todo: convert },
  { start: /^\x80[\x02-\x05]/, is: "a Python pickle, as old versions of torch.save wrote it", todo: convert },
  {
    start: /^version https:\/\/git-lfs\./,
    is: "a pointer of Git LFS, not the file itself",
    todo: "Run `git lfs pull` in its repository, or download the file itself",
  },
  {
    start: /^\s*<(!doctype|html|\?xml)/i,
    is: "a web page, not a weights file",
    todo: "Download the file itself; on a model's page that is the link of its download button",
  },
  {
    start: /^\s*\{[\s\S]*"weight_map"/,
    is: "the index of a network in several files (shards)",
    todo: "Merge them once in Python: save_file({k: v for f in shards for k, v in load_file(f).items()}, 'weights.safetensors')",
  },
  {
    start: /^\x89HDF\r\n/,
    is: "an HDF5 file, as Keras writes it",
    todo: "Give a safetensors file with PyTorch's names",
  },
  { start: /^GGUF/, is: "a GGUF file of a language model", todo: "Give a safetensors file with PyTorch's names" },
];

/**
 * The bytes of a safetensors file.
 *
 * @throws TrainerError ERR_WEIGHTS that says what the path is instead, and what to do
 */
export async function readWeights(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw refusal(path, "a folder", await hintOf(path));
    if (!found.isFile()) throw refusal(path, "no file", "Give the path of a safetensors file");
    if (found.size === 0) throw refusal(path, "empty", "Download it again");
    const file = await open(path);
    try {
      const start = Buffer.alloc(Math.min(found.size, 4096));
      await file.read(start, 0, start.length, 0);
      const kind = kinds.find((each) => each.start.test(start.toString("latin1")));
      if (kind) throw refusal(path, kind.is, kind.todo);
      if (found.size > mostBytes) {
        const size = `a file of ${(found.size / 2 ** 30).toFixed(1)} GiB, and files of up to 2 GiB can be read`;
        throw refusal(path, size, "Store the weights alone, without the optimizer's state, or as float16");
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof TrainerError) throw cause;
    throw new TrainerError("ERR_WEIGHTS", `${path} cannot be read: ${(cause as Error).message}.`, { cause });
  }
}

async function hintOf(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors")).sort();
  if (names.length === 0) return "Expected a safetensors file, and there is none in it";
  return `Expected a file; in it there is ${names.slice(0, 3).join(", ")}`;
}

const refusal = (path: string, is: string, todo: string): TrainerError =>
  new TrainerError("ERR_WEIGHTS", `${path} is ${is}. ${todo}.`);
