import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, get, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import { download, type RemoteFile, type Transport } from "../../../core/data/download.js";
import { TrainerError } from "../../../core/errors.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const root = temporaryFolder();
const content = Buffer.from(Array.from({ length: 40_000 }, (_, at) => (at * at * 31 + at * 7) & 255));
const file: RemoteFile = {
  url: "https://data.example/set.tar.gz",
  bytes: content.length,
  sha256: createHash("sha256").update(content).digest("hex"),
};

/** What the server does with a request; `behave` is replaced by each test. */
let behave: RequestListener;
const requests: IncomingMessage[] = [];
const server = createServer((request, response) => {
  requests.push(request);
  behave(request, response);
});
beforeAll(() => new Promise<void>((done) => server.listen(0, "127.0.0.1", done)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends what is meant for any https host to the server of this test. */
const transport: Transport = (url, headers) => {
  expect(url.protocol).toBe("https:");
  const { port } = server.address() as AddressInfo;
  return new Promise((done, failed) => {
    get({ host: "127.0.0.1", port, path: url.pathname, headers, agent: false }, done).on("error", failed);
  });
};

let folder: string;
let path: string;
const log = vi.fn();
beforeEach(() => {
  folder = join(root, `cache-${readdirSync(root).length}`);
  path = join(folder, "set.tar.gz");
  requests.length = 0;
  log.mockReset();
  behave = honest;
});

const run = (options = {}): Promise<void> => download(file, path, { transport, retryMs: 1, log, ...options });

async function failure(action: Promise<unknown>): Promise<TrainerError> {
  const error = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(TrainerError);
  expect(existsSync(path)).toBe(false);
  expect(readdirSync(folder).filter((name) => name.includes("lock"))).toEqual([]);
  return error as TrainerError;
}

function expectWhole(): void {
  expect(Buffer.compare(readFileSync(path), content)).toBe(0);
  expect(readdirSync(folder)).toEqual(["set.tar.gz"]);
}

function startOf(request: IncomingMessage): number {
  return Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "bytes=0-")![1]);
}

/** Answers with the bytes from the asked one on. */
function honest(request: IncomingMessage, response: ServerResponse, bytes: Buffer = content): void {
  const start = startOf(request);
  head(response, start);
  response.end(bytes.subarray(start));
}

/** Promises all bytes from `start` on and closes the connection after those before `end` have gone out. */
function sendAndHangUp(response: ServerResponse, start: number, end: number): void {
  head(response, start);
  response.flushHeaders();
  if (end > start) response.write(content.subarray(start, end));
  response.socket!.end();
}

function head(response: ServerResponse, start: number): void {
  const length = { "content-length": content.length - start };
  if (start === 0) response.writeHead(200, length);
  else {
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { ...length, "content-range": range });
  }
}

describe("download", () => {
  it("fetches a file whole, says how far it is, and asks for plain bytes", async () => {
    await run();
    expectWhole();
    expect(requests).toHaveLength(1);
    expect(requests[0]!.headers["accept-encoding"]).toBe("identity");
    const lines = log.mock.calls.map(([line]) => line as string);
    expect(lines.at(-2)).toMatch(/set\.tar\.gz: 100 % of \d+ kB/);
    expect(lines.at(-1)).toContain("checksum as expected");
  });

  it("asks nobody when the file is there", async () => {
    mkdirSync(folder);
    writeFileSync(path, content);
    await run();
    expect(requests).toEqual([]);
  });

  it("goes on where it was cut, at any of twenty places", async () => {
    for (let cut = 0; cut < 20; cut++) {
      const until = Math.floor((content.length * cut) / 20);
      path = join(folder, `cut-${cut}.tar.gz`);
      let first = true;
      behave = (request, response) => {
        if (!first) return honest(request, response);
        first = false;
        sendAndHangUp(response, 0, until);
      };
      await run();
      expect(Buffer.compare(readFileSync(path), content)).toBe(0);
    }
    const cuts = Array.from({ length: 20 }, (_, cut) => (content.length * cut) / 20);
    expect(requests.map(startOf)).toEqual(cuts.flatMap((start) => [0, start]));
  });

  it("goes on through a connection that breaks every 1000 bytes", async () => {
    behave = (request, response) => {
      sendAndHangUp(response, startOf(request), startOf(request) + 1000);
    };
    await run();
    expectWhole();
    expect(requests.map(startOf)).toEqual(Array.from({ length: 40 }, (_, at) => at * 1000));
  });

  it("goes on from what another process left", async () => {
    mkdirSync(folder);
    writeFileSync(`${path}.part`, content.subarray(0, 12_345));
    await run();
    expectWhole();
    expect(requests.map(startOf)).toEqual([12_345]);
  });

  it("starts again if the server ignores, refuses or misplaces the range", async () => {
    const whole: RequestListener = (_, response) => void response.writeHead(200).end(content);
    const refused: RequestListener = (request, response) =>
      startOf(request) > 0 ? void response.writeHead(416).end() : honest(request, response);
    const misplaced: RequestListener = (request, response) => {
      if (startOf(request) === 0) return honest(request, response);
      response.writeHead(206, { "content-range": `bytes 0-${content.length - 1}/${content.length}` }).end(content);
    };
    for (const [at, behaviour] of [whole, refused, misplaced].entries()) {
      path = join(folder, `again-${at}.tar.gz`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(`${path}.part`, content.subarray(0, 500));
      behave = behaviour;
      await run();
      expect(existsSync(`${path}.wrong`)).toBe(false); // found by the head, not by 40,000 bytes for nothing
      expect(Buffer.compare(readFileSync(path), content)).toBe(0);
    }
  });

  it("tries again after 503, 429 and a silent connection", async () => {
    const answers: RequestListener[] = [
      (_, response) => void response.writeHead(503).end(),
      (_, response) => void response.writeHead(429).end(),
      (_, response) => {
        head(response, 0);
        response.write(content.subarray(0, 100));
      },
    ];
    behave = (request, response) => (answers.shift() ?? honest)(request, response);
    await run({ silentMs: 100 });
    expectWhole();
    expect(log.mock.calls.flat().join("\n")).toMatch(/answered 503[^]*answered 429[^]*nothing came for 0\.1 s/);
  });

  it("gives up after five attempts that bring nothing, and keeps what it has", async () => {
    behave = (_, response) => void response.destroy();
    mkdirSync(folder);
    writeFileSync(`${path}.part`, content.subarray(0, 777));
    const error = await failure(run());
    expect(error.code).toBe("ERR_DOWNLOAD");
    expect(error.exitCode).toBe(65);
    expect(error.message).toContain("5 attempts in a row");
    expect(error.message).toContain("--data");
    expect(requests).toHaveLength(5);
    expect(readFileSync(`${path}.part`)).toHaveLength(777);
  });

  it("puts a wrong file aside, tries once more, and then gives both hashes", async () => {
    const wrong = Buffer.from(content);
    wrong[30_000]! ^= 1;
    behave = (request, response) => honest(request, response, wrong);
    const error = await failure(run());
    expect(error.code).toBe("ERR_DOWNLOAD");
    expect(error.message).toContain(file.sha256);
    expect(error.message).toContain(createHash("sha256").update(wrong).digest("hex"));
    expect(requests.map(startOf)).toEqual([0, 0]);
    expect(readdirSync(folder)).toEqual(["set.tar.gz.wrong"]);
  });

  it("recovers from a damaged part: the second attempt starts from nothing", async () => {
    mkdirSync(folder);
    writeFileSync(`${path}.part`, Buffer.alloc(5000, 1));
    await run();
    expect(Buffer.compare(readFileSync(path), content)).toBe(0);
    expect(requests.map(startOf)).toEqual([5000, 0]);
  });

  it("takes a file that is too long for a wrong one, without reading it to its end", async () => {
    behave = (_, response) => {
      response.writeHead(200);
      const more = (): void => void response.write(content, (error) => error || setTimeout(more, 1));
      more();
    };
    const error = await failure(run());
    expect(error.message).toContain(`more than the expected ${content.length} bytes`);
  });

  it.each([
    ["a web page", 200, { "content-type": "text/html; charset=utf-8" }, "a web page (text/html; charset=utf-8)"],
    ["another size", 200, { "content-length": "5" }, "announces 5 bytes, expected 40000"],
    ["404", 404, {}, "answered 404"],
    ["403", 403, {}, "answered 403"],
    ["204", 204, {}, "answered 204"],
  ])("refuses %s at once", async (_, status, headers, message) => {
    behave = (_, response) => void response.writeHead(status, headers).end(status === 204 ? undefined : "hello");
    const error = await failure(run());
    expect(error.code).toBe("ERR_DOWNLOAD");
    expect(error.message).toContain(message);
    expect(requests).toHaveLength(1);
  });

  it("follows redirects to https, and only those", async () => {
    behave = (request, response) => {
      if (request.url === "/mirror/set.tar.gz") return honest(request, response);
      response.writeHead(302, { location: "https://mirror.example/mirror/set.tar.gz" }).end();
    };
    await run();
    expectWhole();

    path = join(folder, "other.tar.gz");
    for (const location of ["http://mirror.example/set.tar.gz", "ftp://mirror.example/x", "file:///etc/passwd"]) {
      behave = (_, response) => void response.writeHead(301, { location }).end();
      expect((await failure(run())).message).toContain(`redirects to ${location}, which is not https`);
    }
    behave = (_, response) => void response.writeHead(301, { location: "/set.tar.gz" }).end();
    expect((await failure(run())).message).toContain("redirected more than 5 times");
  });

  it("never asks over http", async () => {
    const error = await failure(download({ ...file, url: "http://data.example/set.tar.gz" }, path, { log }));
    expect(error.message).toContain("which is not https");
  });

  it("lets two share one download, and the second say that it waits", async () => {
    let second: Promise<void> | undefined;
    behave = (request, response) => {
      const waits = new Promise<void>((done) => {
        second = run({ log: (line: string) => line.includes("another download") && done() });
      });
      void waits.then(() => honest(request, response));
    };
    await run();
    await second;
    expectWhole();
    expect(requests).toHaveLength(1);
  });

  it("lets three that come at the same moment share one download", async () => {
    await Promise.all([run(), run(), run()]);
    expectWhole();
    expect(requests).toHaveLength(1);
  });

  it("names the path it cannot write", async () => {
    mkdirSync(folder);
    mkdirSync(`${path}.part`);
    const error = await run().then(
      () => undefined,
      (error: unknown) => error as TrainerError,
    );
    expect(error!.code).toBe("ERR_IO");
    expect(error!.message).toContain(`${path}.part cannot be written`);
    const blocked = join(root, "file");
    writeFileSync(blocked, "");
    await expect(download(file, join(blocked, "x"), { transport })).rejects.toMatchObject({ code: "ERR_IO" });
  });
});
