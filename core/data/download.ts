/**
 * Fetching one known file over https, once, whole or not at all.
 *
 * Bytes go to `<path>.part`, which survives a cut and is continued with a Range request, by the next attempt
 * or the next process. Only a file of the pinned size and SHA-256 gets its real name, after it is on disk.
 * The plain `https` module is used, since `fetch` would unpack a gzip file that a server labels as an
 * encoding.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { basename, dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { TrainerError } from "../errors.js";
import { makeFolders } from "../files.js";
import { formatBytes } from "../format.js";
import { waitForLock } from "../lock/waiting.js";

/** A file on the web whose content is known, by its SHA-256 or by the SHA-1 that Git gives it. */
export type RemoteFile = {
  /** https, or http of this machine. */
  readonly url: string;
  readonly bytes: number;
} & ({ readonly sha256: string } | { readonly gitSha1: string });

/** What is used of Node's `IncomingMessage`. Not that type itself: the package's types hold without @types/node. */
export interface ServerResponse extends AsyncIterable<Uint8Array> {
  readonly statusCode?: number;
  readonly headers: ResponseHeaders;
  on(event: "error", listener: (error: Error) => void): unknown;
  setTimeout(milliseconds: number, callback: () => void): unknown;
  destroy(error?: Error): unknown;
}

export interface ResponseHeaders {
  readonly [name: string]: string | readonly string[] | undefined;
  readonly location?: string;
  readonly etag?: string;
  readonly "content-type"?: string;
  readonly "content-range"?: string;
  readonly "content-length"?: string;
}

/** Sends one request and answers with the head of the response. Tests put a misbehaving server behind it. */
export type Transport = (url: URL, headers: Record<string, string>, method?: "GET" | "HEAD") => Promise<ServerResponse>;

export interface DownloadOptions {
  log?: (line: string) => void;
  /** Sent as `authorization` to the host of the file's own address, and to no other that it redirects to. */
  authorization?: string;
  /** What to do where the file cannot be had: a sentence. */
  advice?: string;
  transport?: Transport;
  /** Pause after the first failure; doubles with each further one. */
  retryMs?: number;
  /** A connection on which nothing comes for so long is given up and tried again. */
  silentMs?: number;
}

/** Attempts in a row that bring no byte, before giving up. Those that bring some do not count. */
const fruitlessAttempts = 5;
const maxRedirects = 5;

/** Over https, or over http to this machine; `mayAsk` decides before. */
export const overHttps: Transport = (url, headers, method = "GET") =>
  new Promise((done, failed) => {
    const { request } = url.protocol === "http:" ? http : https;
    const sent = request(url, { headers, method, timeout: 30_000 }, done);
    sent.on("error", failed);
    sent.on("timeout", () => sent.destroy(new Error("no answer for 30 s")));
    sent.end();
  });

/** Whether an address may be asked: over https, or over http where the file's own address is http of this machine. */
export function mayAsk(url: URL, first: URL): boolean {
  const isLocal = ({ protocol, hostname }: URL): boolean =>
    protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return url.protocol === "https:" || (isLocal(url) && isLocal(first));
}

/**
 * Downloads a file to a path, unless it is there already. Two processes that ask at once share one download.
 *
 * @throws TrainerError ERR_DOWNLOAD if the server cannot deliver the pinned file; ERR_IO if the disk cannot
 * take it
 */
export async function download(file: RemoteFile, path: string, options: DownloadOptions = {}): Promise<void> {
  const { log = () => {} } = options;
  const folder = dirname(path);
  const part = `${path}.part`;
  await onDisk(folder, async () => makeFolders(folder));
  if ((await sizeOf(path)) !== undefined) return;
  const release = await onDisk(folder, () =>
    waitForLock(folder, {
      onWait: (holder) => log(`${basename(path)}: another download is under way (${holder}); waiting for it`),
    }),
  );
  try {
    if ((await sizeOf(path)) !== undefined) return;
    let problem = "";
    for (let attempt = 0; attempt < 2; attempt++) {
      await fetchWhole(file, part, options);
      const found = await differenceFrom(file, part);
      if (found === undefined) {
        await publish(part, path);
        log(`${basename(path)}: ${formatBytes(file.bytes)}, checksum as expected, stored as ${path}`);
        return;
      }
      problem = found;
      await onDisk(part, () => rename(part, `${path}.wrong`));
      log(`${basename(path)}: not the expected file (${found}); put aside as ${path}.wrong`);
    }
    throw refuse(file, `two downloads differ from it: ${problem}. The last one is kept as ${path}.wrong.`, options);
  } finally {
    release();
  }
}

/** Repeats until the part has all its bytes. */
async function fetchWhole(file: RemoteFile, part: string, options: DownloadOptions): Promise<void> {
  const { retryMs = 1000, log = () => {} } = options;
  let fruitless = 0;
  for (;;) {
    const before = (await sizeOf(part)) ?? 0;
    if (before >= file.bytes) return;
    let failure: unknown = new Error("the connection ended early");
    try {
      await fetchRest(file, part, before, options);
    } catch (error) {
      if (error instanceof TrainerError) throw error;
      failure = error;
    }
    const after = (await sizeOf(part)) ?? 0;
    if (after >= file.bytes) return;
    fruitless = after > before ? 0 : fruitless + 1;
    const { message } = failure as Error;
    if (fruitless === fruitlessAttempts) {
      const problem = `${fruitlessAttempts} attempts in a row received nothing, the last error: ${message}.`;
      throw refuse(file, problem, options, failure);
    }
    log(`${basename(file.url)}: ${message}; resuming at ${formatBytes(after)} of ${formatBytes(file.bytes)}`);
    await sleep(retryMs * 2 ** fruitless);
  }
}

/**
 * One request for the bytes from `start` on. A TrainerError is final; any other error is worth another
 * attempt.
 */
async function fetchRest(file: RemoteFile, part: string, start: number, options: DownloadOptions): Promise<void> {
  // Opened first: what arrives while a file opens would be lost if the connection breaks meanwhile.
  const out = await onDisk(part, () => open(part, "a"));
  try {
    const response = await request(file, start, options);
    try {
      await append(file, start, response, out, options);
    } finally {
      response.destroy();
    }
  } finally {
    await out.close();
  }
}

async function append(
  file: RemoteFile,
  start: number,
  response: ServerResponse,
  out: FileHandle,
  options: DownloadOptions,
): Promise<void> {
  const { silentMs = 60_000, log = () => {} } = options;
  const name = basename(file.url);
  response.setTimeout(silentMs, () => {
    response.destroy(new Error(`nothing came for ${silentMs / 1000} s`));
  });
  const from = checkHead(file, start, response, options);
  if (from !== start) await onDisk(name, () => out.truncate());
  if (from === undefined) throw new Error(`the server cannot resume at byte ${start}`);
  let total = from;
  for await (const chunk of response) {
    await onDisk(name, () => out.appendFile(chunk));
    const tenth = Math.floor((total * 10) / file.bytes);
    total += chunk.length;
    if (total > file.bytes) return; // too long: the check that follows puts it aside
    const now = Math.floor((total * 10) / file.bytes);
    if (now > tenth) log(`${name}: ${now * 10} % of ${formatBytes(file.bytes)}`);
  }
}

/** Follows redirects, to https only; another host gets no authorization. */
async function request(file: RemoteFile, start: number, options: DownloadOptions): Promise<ServerResponse> {
  const { transport = overHttps, authorization } = options;
  const headers: Record<string, string> = { "accept-encoding": "identity", "user-agent": "fitloop" };
  if (start > 0) headers.range = `bytes=${start}-`;
  const first = new URL(file.url);
  let url = first;
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    if (!mayAsk(url, first)) throw refuse(file, `it redirects to ${url.href}, which is not https.`, options);
    const known: Record<string, string> = url.origin === first.origin && authorization ? { authorization } : {};
    const response = await transport(url, { ...headers, ...known });
    // A connection may break before anybody reads; whoever reads then still gets the error.
    response.on("error", () => {});
    const { location } = response.headers;
    const status = response.statusCode!;
    if (status < 300 || status >= 400 || location === undefined) return response;
    response.destroy();
    url = new URL(location, url);
  }
  throw refuse(file, `it was redirected more than ${maxRedirects} times.`, options);
}

/** Where the response's bytes begin in the file: `start`, or 0; undefined if they fit nowhere. */
function checkHead(
  file: RemoteFile,
  start: number,
  { statusCode, headers }: ServerResponse,
  options: DownloadOptions,
): number | undefined {
  const status = statusCode!;
  if (status === 408 || status === 429 || status >= 500) throw new Error(`the server answered ${status}`);
  if (status === 416) return undefined;
  if (status !== 200 && status !== 206) throw refuse(file, `the server answered ${status}.`, options);
  const type = headers["content-type"] ?? "";
  if (type.startsWith("text/html")) throw refuse(file, `the server sent a web page (${type}), not the file.`, options);
  const from = status === 206 ? start : 0;
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "");
    if (Number(range?.[1]) !== start || (range![2] !== "*" && Number(range![2]) !== file.bytes)) return undefined;
  }
  const length = headers["content-length"];
  if (length !== undefined && Number(length) !== file.bytes - from) {
    throw refuse(file, `the server announces ${length} bytes, expected ${file.bytes - from}.`, options);
  }
  return from;
}

/** How a finished part differs from the pinned file, or undefined. */
async function differenceFrom(file: RemoteFile, part: string): Promise<string | undefined> {
  const bytes = await sizeOf(part);
  if (bytes !== file.bytes) return `more than the expected ${file.bytes} bytes`;
  const [name, expected, hash] =
    "sha256" in file
      ? ["SHA-256", file.sha256, createHash("sha256")]
      : ["Git's SHA-1", file.gitSha1, createHash("sha1").update(`blob ${bytes}\0`)];
  await onDisk(part, () => pipeline(createReadStream(part, { highWaterMark: 1 << 20 }), hash));
  const found = hash.digest("hex");
  return found === expected ? undefined : `${name} ${found}, expected ${expected}`;
}

/** Gives a checked part its name, so that the name means "whole" even after a power cut. */
async function publish(part: string, path: string): Promise<void> {
  await onDisk(path, async () => {
    await flush(part);
    await rename(part, path);
    await flush(dirname(path));
  });
}

async function flush(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

async function onDisk<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw new TrainerError("ERR_IO", `${path} cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function refuse(file: RemoteFile, problem: string, { advice }: DownloadOptions, cause?: unknown): TrainerError {
  const todo = advice ?? "Try again later, or fetch it by other means and give its path with --data.";
  return new TrainerError("ERR_DOWNLOAD", `${file.url}: ${problem} ${todo}`, { cause });
}
