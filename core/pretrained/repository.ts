/**
 * Files of a model repository on the Hugging Face Hub, cached by name and revision:
 *
 *     <cache>/weights/<owner>/<name>/<revision>/model.safetensors   + .pin.json
 *
 * The server states size and checksum of a file before the first byte is asked for. Only a file that has them gets its
 * name, and what it was at first use is pinned beside it: a file that changes later is refused. A file in the cache is
 * used without asking anybody.
 */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import {
  type DownloadOptions,
  download,
  mayAsk,
  overHttps,
  type RemoteFile,
  type ResponseHeaders,
  type ServerResponse,
} from "../data/download.js";
import { TrainerError } from "../errors.js";
import { readWhole, writeFileAtomic } from "../files.js";
import { hashFile } from "../hash-file.js";
import { configName, type Repository, repositoryFolder, repositoryText, weightsName } from "./repository-name.js";

export interface RepositoryOptions extends Pick<DownloadOptions, "log" | "transport" | "retryMs" | "silentMs"> {
  /** Reads `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`. Default: the process' own. */
  env?: Readonly<Record<string, string | undefined>>;
}

/** What a repository's files are here. */
export interface RepositoryFiles {
  /** The folder in the cache. */
  readonly folder: string;
  readonly weights: string;
  /** Left out where the repository has none, or somebody put the weights there alone. */
  readonly config?: string;
}

/**
 * The weights of a repository and their `config.json`, downloaded once.
 *
 * @throws TrainerError ERR_DOWNLOAD where they cannot be had, saying which file to put where; ERR_WEIGHTS for a file that
 *   is not the one of its first use
 */
export async function repositoryFiles(
  repository: Repository,
  options: RepositoryOptions = {},
): Promise<RepositoryFiles> {
  const folder = repositoryFolder(repository);
  const [weights, config] = [join(folder, weightsName), join(folder, configName)];
  if (!existsSync(weights)) {
    await fetchFile(repository, configName, options); // first: where the weights are, nothing more is asked for
    if (!(await fetchFile(repository, weightsName, options))) throw await otherFormat(repository, options);
  }
  await checkPin(weights);
  if (!existsSync(config)) return { folder, weights };
  await checkPin(config);
  return { folder, weights, config };
}

const byHand = (repository: Repository): string =>
  `Or download ${weightsName} and ${configName} of ${repositoryText(repository)} elsewhere, and put both into ` +
  `${repositoryFolder(repository)}.`;

// ---------------------------------------------------------------------------------------------------------- pins

const pinShape = z.object({ bytes: z.number(), sha256: z.string(), source: z.string() });

const pinOf = (path: string): string => `${path}.pin.json`;

/** Compares a file with its first use, or makes this its first use. */
async function checkPin(path: string, source = "put there by hand"): Promise<void> {
  const found = { bytes: (await stat(path)).size, sha256: await hashFile(path) };
  const pin = pinOf(path);
  if (!existsSync(pin)) {
    writeFileAtomic(pin, `${JSON.stringify({ ...found, source }, undefined, 2)}\n`);
    return;
  }
  const first = readPin(pin);
  if (first?.bytes === found.bytes && first.sha256 === found.sha256) return;
  const expected = first ? `${first.bytes} bytes with SHA-256 ${first.sha256}` : "a readable pin";
  throw new TrainerError(
    "ERR_WEIGHTS",
    `${path} is not the file of its first use: expected ${expected}, got ${found.bytes} bytes with ${found.sha256}. ` +
      `Remove it to download it again, or remove ${pin} if you changed it yourself.`,
  );
}

function readPin(path: string): z.output<typeof pinShape> | undefined {
  try {
    return pinShape.parse(JSON.parse(readWhole(path, { most: 10_000 }).toString()));
  } catch {
    return undefined;
  }
}

// -------------------------------------------------------------------------------------------------------- server

/** Downloads a file, unless it is here. Resolves with false where the repository has none of this name. */
async function fetchFile(repository: Repository, file: string, options: RepositoryOptions): Promise<boolean> {
  const path = join(repositoryFolder(repository), file);
  if (existsSync(path)) return true;
  const remote = await remoteFile(repository, file, options);
  if (remote === undefined) return false;
  const { log, transport, retryMs, silentMs } = options;
  const authorization = authorizationFrom(options);
  await download(remote, path, { log, transport, retryMs, silentMs, authorization, advice: byHand(repository) });
  await checkPin(path, remote.url);
  return true;
}

function addressOf(repository: Repository, file: string, { env = process.env }: RepositoryOptions): URL {
  const { owner, name, revision } = repository;
  if (/^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? "")) {
    const text = `${repositoryText(repository)} is not in the cache, and HF_HUB_OFFLINE forbids a download.`;
    throw new TrainerError("ERR_DOWNLOAD", `${text} Unset it. ${byHand(repository)}`);
  }
  const endpoint = env.HF_ENDPOINT || "https://huggingface.co";
  const base = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (base === undefined || !mayAsk(base, base)) {
    throw new TrainerError("ERR_OPTION", `HF_ENDPOINT: expected an address with https, got "${endpoint}".`);
  }
  const parts = [owner, name, "resolve", revision, file].map(encodeURIComponent).join("/");
  return new URL(`${base.pathname.replace(/\/$/, "")}/${parts}`, base);
}

const authorizationFrom = ({ env = process.env }: RepositoryOptions): string | undefined =>
  env.HF_TOKEN ? `Bearer ${env.HF_TOKEN}` : undefined;

const maxRedirects = 5;
const attempts = 4;

/** Size and checksum as the server states them; undefined where it has no such file. Nothing is downloaded yet. */
async function remoteFile(
  repository: Repository,
  file: string,
  options: RepositoryOptions,
): Promise<RemoteFile | undefined> {
  const first = addressOf(repository, file, options);
  const fail = (problem: string, cause?: unknown): never => {
    throw new TrainerError("ERR_DOWNLOAD", `${first.href}: ${problem} ${byHand(repository)}`, { cause });
  };
  const authorization = authorizationFrom(options);
  let url = first;
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    const { statusCode: status = 0, headers } = await headOf(url, authorization, options, fail);
    const stated = statedBy(headers, first.href);
    if (status === 200 || (status >= 300 && status < 400 && headers["x-linked-etag"] !== undefined)) {
      return stated ?? fail("the server states no size and checksum of the file, so it cannot be checked.");
    }
    if (status >= 300 && status < 400 && headers.location !== undefined) {
      url = new URL(headers.location, url);
      if (url.origin === first.origin) continue;
      fail(`it redirects to ${url.origin} without size and checksum of the file.`);
    }
    const code = String(headers["x-error-code"] ?? "");
    if (status === 404 && (code === "EntryNotFound" || code === "")) return undefined;
    if (status === 404) fail(`there is no such ${code === "RevisionNotFound" ? "revision" : "repository"}.`);
    if (status === 401 || status === 403) {
      const todo =
        authorization === undefined
          ? "Check the name. A private or restricted repository needs a token in HF_TOKEN."
          : "Check the name, and whether the token in HF_TOKEN may read it.";
      fail(`the server refuses access (${status}). ${todo}`);
    }
    fail(`the server answered ${status}.`);
  }
  return fail(`it was redirected more than ${maxRedirects} times.`);
}

/** One HEAD request, repeated while server or network are out of order. */
async function headOf(
  url: URL,
  authorization: string | undefined,
  { transport = overHttps, retryMs = 1000 }: RepositoryOptions,
  fail: (problem: string, cause?: unknown) => never,
): Promise<Pick<ServerResponse, "statusCode" | "headers">> {
  const headers = { "accept-encoding": "identity", "user-agent": "fitloop", ...(authorization && { authorization }) };
  for (let attempt = 1; ; attempt++) {
    let problem: string;
    let cause: unknown;
    try {
      const response = await transport(url, headers, "HEAD");
      response.on("error", () => {}); // nobody reads a body
      response.destroy();
      const status = response.statusCode!;
      if (status !== 429 && status < 500) return response;
      problem = `the server answered ${status}.`;
    } catch (error) {
      cause = error;
      problem = `it cannot be reached (${(error as Error).message}).`;
      // A name that no server knows, or no network at all, does not change within seconds.
      if (["ENOTFOUND", "ENETUNREACH"].includes((error as NodeJS.ErrnoException).code ?? "")) fail(problem, cause);
    }
    if (attempt === attempts) fail(problem, cause);
    await sleep(retryMs * 2 ** (attempt - 1));
  }
}

/** The Hub's headers: of a large file its SHA-256 and size, of a small one what Git calls it. */
function statedBy(headers: ResponseHeaders, url: string): RemoteFile | undefined {
  const tag = /^(?:W\/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(String(headers["x-linked-etag"] ?? headers.etag ?? ""));
  const size = headers["x-linked-size"] ?? headers["content-length"];
  const bytes = Number(size);
  if (!tag || size === undefined || !Number.isSafeInteger(bytes) || bytes < 1) return undefined;
  const digest = tag[1]!;
  return digest.length === 64 ? { url, bytes, sha256: digest } : { url, bytes, gitSha1: digest };
}

/** Why a repository has no `model.safetensors`. */
async function otherFormat(repository: Repository, options: RepositoryOptions): Promise<TrainerError> {
  const has = async (file: string): Promise<boolean> => (await remoteFile(repository, file, options)) !== undefined;
  const text = `${repositoryText(repository)} has no ${weightsName}`;
  if (await has(`${weightsName}.index.json`)) {
    return new TrainerError(
      "ERR_WEIGHTS",
      `${text}: its weights are in several files (shards). Merge them once in Python ` +
        `(save_file({k: v for f in shards for k, v in load_file(f).items()}, "${weightsName}")), and put the file into ` +
        `${repositoryFolder(repository)}.`,
    );
  }
  const pickle = (await has("pytorch_model.bin")) ? ", only a pickle, which can run code and is not read" : "";
  return new TrainerError("ERR_WEIGHTS", `${text}${pickle}. Choose a repository with ${weightsName}; timm's have one.`);
}
