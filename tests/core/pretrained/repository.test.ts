/** Model repositories by name, against a server of this test that misbehaves: a local stand-in, not the Hub itself. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { loadBackend } from "../../../core/backend/index.js";
import { TrainerError } from "../../../core/errors.js";
import { resnet18, resnet34 } from "../../../core/models/index.js";
import { initialWeights } from "../../../core/nn/layer.js";
import { weightsToSafetensors } from "../../../core/nn/weights-file.js";
import { makePart } from "../../../core/parts.js";
import { openWeights } from "../../../core/pretrained/open.js";
import { readPretrainedConfig } from "../../../core/pretrained/preprocessing.js";
import { type RepositoryFiles, repositoryFiles } from "../../../core/pretrained/repository.js";
import { parseRepository, repositoryFolder } from "../../../core/pretrained/repository-name.js";
import { fitWeights, microConfig } from "../../../core/testing/index.js";
import { plain } from "../../support/golden-networks.js";
import { temporaryFolder } from "../../support/mini-cifar.js";

const root = temporaryFolder();
const timmConfig = {
  architecture: "tiny",
  pretrained_cfg: {
    input_size: [3, 64, 64],
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.2, 0.2],
    crop_pct: 0.9,
    interpolation: "bicubic",
  },
};
const config = Buffer.from(JSON.stringify(timmConfig));
let weights = Buffer.from("not read by most of these tests");

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const gitSha1 = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** What the server does with a request; each test may replace it. */
let behave: RequestListener;
const requests: { method: string; url: string; host: string; token: string | undefined }[] = [];
const listener: RequestListener = (request, response) => {
  const { method = "", url = "", headers } = request;
  requests.push({ method, url, host: headers.host!, token: headers.authorization });
  behave(request, response);
};
/** The Hub, and the host that it redirects large files to. */
const [hub, store] = [createServer(listener), createServer(listener)];
const addressOf = (server: typeof hub): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeAll(async () => {
  await Promise.all([hub, store].map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))));
  await loadBackend();
});
afterAll(() => {
  for (const server of [hub, store]) {
    server.closeAllConnections();
    server.close();
  }
});

/** As the Hub answers: a small file itself, a large one by a redirect that states its SHA-256 and size. */
function honest(request: IncomingMessage, response: ServerResponse): void {
  if (request.url!.endsWith("/config.json")) {
    response.writeHead(200, { etag: `"${gitSha1(config)}"`, "content-length": config.length });
    response.end(request.method === "HEAD" ? undefined : config);
  } else if (request.url!.endsWith("/resolve/main/model.safetensors")) redirect(response);
  else if (request.url === "/blob") response.writeHead(200, { "content-length": weights.length }).end(weights);
  else response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
}

function redirect(response: ServerResponse, stated: Record<string, string | number> = {}): void {
  const headers = { "x-linked-etag": `"${sha256(weights)}"`, "x-linked-size": weights.length, ...stated };
  response.writeHead(302, { ...headers, location: `${addressOf(store)}/blob` }).end();
}

let count = 0;
const log = vi.fn();
beforeEach(() => {
  process.env.FITLOOP_CACHE = join(root, `cache-${count++}`);
  weights = Buffer.from("not read by most of these tests");
  requests.length = 0;
  behave = honest;
});
afterAll(() => void delete process.env.FITLOOP_CACHE);

const tiny = parseRepository("owner/tiny");
const files = (env: NodeJS.ProcessEnv = {}, options = {}): Promise<RepositoryFiles> =>
  repositoryFiles(tiny, { env: { HF_ENDPOINT: addressOf(hub), ...env }, retryMs: 1, log, ...options });

async function failure(action: Promise<unknown>): Promise<TrainerError> {
  const error: unknown = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(TrainerError);
  return error as TrainerError;
}

describe("a repository's name", () => {
  it.each([
    ["timm/tf_efficientnet_lite0.in1k", { owner: "timm", name: "tf_efficientnet_lite0.in1k", revision: "main" }],
    ["hf:me/net@v1.0", { owner: "me", name: "net", revision: "v1.0" }],
  ])("%s", (text, expected) => expect(parseRepository(text)).toEqual(expected));

  it.each(["net", "a/b/c", "../x", "a/..", "a/b@..", "https://x/y", "", "a/b@"])("refuses %j", (text) => {
    expect(() => parseRepository(text)).toThrow(/expected "owner\/name" or "owner\/name@revision"/);
  });

  it("is checked where a config is written", () => {
    expect(() => makePart(resnet18({ pretrained: "resnet18" }))).toThrow(/"pretrained".*expected "owner\/name"/);
  });
});

describe("a repository's files", () => {
  it("are downloaded once, checked, pinned, and then used without asking anybody", async () => {
    const found = await files();
    expect(readFileSync(found.weights)).toEqual(weights);
    expect(readFileSync(found.config!)).toEqual(config);
    expect(requests.map(({ method, url }) => `${method} ${url.split("/").at(-1)}`)).toEqual([
      "HEAD config.json",
      "GET config.json",
      "HEAD model.safetensors",
      "GET model.safetensors",
      "GET blob",
    ]);
    expect(JSON.parse(readFileSync(`${found.weights}.pin.json`, "utf8"))).toEqual({
      bytes: weights.length,
      sha256: sha256(weights),
      source: `${addressOf(hub)}/owner/tiny/resolve/main/model.safetensors`,
    });
    expect(await files({ HF_HUB_OFFLINE: "1" })).toEqual(found);
    expect(requests).toHaveLength(5);
  });

  it("take the token to the Hub and to no other host", async () => {
    await files({ HF_TOKEN: "secret" });
    const store_ = addressOf(store).slice("http://".length);
    expect(new Set(requests.filter(({ host }) => host !== store_).map(({ token }) => token))).toEqual(
      new Set(["Bearer secret"]),
    );
    expect(requests.filter(({ host }) => host === store_).map(({ token }) => token)).toEqual([undefined]);
  });

  it("are refused where the bytes are not those that the server stated", async () => {
    behave = (request, response) =>
      request.url!.endsWith("model.safetensors")
        ? redirect(response, { "x-linked-etag": `"${"0".repeat(64)}"` })
        : honest(request, response);
    const error = await failure(files());
    expect(error.code).toBe("ERR_DOWNLOAD");
    expect(error.message).toContain(`expected ${"0".repeat(64)}`);
    expect(error.message).toContain(`put both into ${repositoryFolder(tiny)}`);
    expect(existsSync(join(repositoryFolder(tiny), "model.safetensors"))).toBe(false);
  });

  it("are refused where a small file is not what Git calls it", async () => {
    behave = (request, response) => {
      if (!request.url!.endsWith("/config.json")) return honest(request, response);
      response.writeHead(200, { etag: `"${"1".repeat(40)}"`, "content-length": config.length });
      response.end(request.method === "HEAD" ? undefined : config);
    };
    expect((await failure(files())).message).toMatch(/Git's SHA-1 [0-9a-f]{40}, expected 1{40}/);
  });

  it.each<[string, RequestListener, RegExp]>([
    ["no checksum", (_, response) => void response.writeHead(200, { "content-length": 5 }).end(), /states no size and/],
    ["a wrong repository", (_, response) => void response.writeHead(401).end(), /refuses access \(401\).*HF_TOKEN/],
    ["a restricted one", (_, response) => void response.writeHead(403).end(), /refuses access \(403\)/],
    [
      "no repository",
      (_, response) => void response.writeHead(404, { "x-error-code": "RepoNotFound" }).end(),
      /no such repository/,
    ],
    [
      "no revision",
      (_, response) => void response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end(),
      /no such revision/,
    ],
    ["a server out of order", (_, response) => void response.writeHead(503).end(), /answered 503/],
    ["a teapot", (_, response) => void response.writeHead(418).end(), /answered 418/],
    ["no answer", (request) => void request.socket.destroy(), /cannot be reached/],
    [
      "another host without a checksum",
      (_, response) => void response.writeHead(302, { location: "https://elsewhere.example/x" }).end(),
      /redirects to https:\/\/elsewhere\.example without size/,
    ],
    [
      "a circle",
      (request, response) => void response.writeHead(307, { location: request.url! }).end(),
      /redirected more than 5 times/,
    ],
  ])("say what is wrong, and where to put them by hand: %s", async (_, behaviour, expected) => {
    behave = behaviour;
    const error = await failure(files());
    expect(error.code).toBe("ERR_DOWNLOAD");
    expect(error.message).toMatch(expected);
    expect(error.message).toContain(
      `Or download model.safetensors and config.json of owner/tiny elsewhere, and put both into ${repositoryFolder(tiny)}.`,
    );
  });

  it("survive a server that is out of order for a moment, a cut and a silent connection", async () => {
    weights = Buffer.alloc(50_000, 7);
    const answers: RequestListener[] = [
      (_, response) => void response.writeHead(500).end(),
      (_, response) => void response.writeHead(429).end(),
    ];
    const blobs: RequestListener[] = [
      (_, response) => {
        response.writeHead(200, { "content-length": weights.length }).write(weights.subarray(0, 100));
        setTimeout(() => response.destroy(), 20);
      },
      (_, response) => void response.writeHead(200, { "content-length": weights.length }).write(weights.subarray(0, 9)),
    ];
    behave = (request, response) => {
      const next = (request.url === "/blob" ? blobs : answers).shift() ?? honest;
      next(request, response);
    };
    expect(readFileSync((await files({}, { silentMs: 100 })).weights)).toEqual(weights);
  });

  it("refuse a web page in place of the weights", async () => {
    behave = (request, response) =>
      request.url === "/blob"
        ? void response.writeHead(200, { "content-type": "text/html" }).end("<html>")
        : honest(request, response);
    expect((await failure(files())).message).toContain("a web page (text/html)");
  });

  it("name weights in several files, and a pickle", async () => {
    const only =
      (name: string): RequestListener =>
      (request, response) =>
        request.url!.endsWith(name)
          ? void response.writeHead(200, { etag: `"${"2".repeat(40)}"`, "content-length": 9 }).end()
          : void response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
    behave = only("model.safetensors.index.json");
    expect(await failure(files())).toMatchObject({
      code: "ERR_WEIGHTS",
      message: expect.stringMatching(/several files \(shards\)\. Merge them once/) as string,
    });
    behave = only("pytorch_model.bin");
    expect((await failure(files())).message).toContain("only a pickle, which can run code and is not read");
  });

  it("may be put there by hand, without a config, and are pinned at first use", async () => {
    const folder = repositoryFolder(tiny);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "model.safetensors");
    writeFileSync(path, weights);
    expect(await files()).toEqual({ folder, weights: path });
    expect(requests).toEqual([]);
    writeFileSync(path, "changed");
    const error = await failure(files());
    expect(error.code).toBe("ERR_WEIGHTS");
    expect(error.message).toContain(sha256(weights));
    expect(error.message).toContain("is not the file of its first use");
  });

  it("are asked of https, or of this machine", async () => {
    for (const endpoint of ["http://mirror.example", "mirror.example", "ftp://x"]) {
      const error = await failure(files({ HF_ENDPOINT: endpoint }));
      expect(error).toMatchObject({ code: "ERR_OPTION", message: expect.stringContaining(endpoint) as string });
    }
    const error = await failure(files({ HF_HUB_OFFLINE: "1" }));
    expect(error.message).toContain("HF_HUB_OFFLINE forbids a download");
    expect(requests).toEqual([]);
  });
});

describe("config.json", () => {
  const path = join(root, "config.json");
  const read = (value: unknown) => {
    writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
    return readPretrainedConfig(path);
  };

  it("says what the weights expect of an image, and the classes where it names them", () => {
    const images = { mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.2, 0.2], size: 64, crop: 0.9, interpolation: "bicubic" };
    expect(read(timmConfig)).toEqual({ architecture: "tiny", images });
    expect(read({ ...timmConfig, label_names: ["a", "b"] }).classes).toEqual(["a", "b"]);
  });

  it.each([
    ["no JSON", "{", /the whole is wrong/],
    ["another library's", { hidden_size: 3 }, /pretrained_cfg is wrong/],
    [
      "a deviation of zero",
      { pretrained_cfg: { ...timmConfig.pretrained_cfg, std: [0, 1, 1] } },
      /pretrained_cfg\.std is wrong/,
    ],
  ])("is refused: %s", (_, value, expected) => expect(() => read(value)).toThrow(expected));
});

describe("a network with pretrained weights", () => {
  const options = { width: 4, stem: "cifar" } as const;
  const file = (source: typeof resnet18, classes: number): Buffer => {
    const { layer } = makePart(source(options)).build(plain(classes));
    return Buffer.from(tf.tidy(() => weightsToSafetensors(initialWeights(layer, 77), layer)));
  };
  const putThere = (bytes: Uint8Array, settings?: object): void => {
    const folder = repositoryFolder(tiny);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "model.safetensors"), bytes);
    if (settings) writeFileSync(join(folder, "config.json"), JSON.stringify(settings));
  };
  const model = resnet18({ ...options, pretrained: "owner/tiny" });

  it("starts with its backbone and a new head, and says so", async () => {
    putThere(file(resnet18, 7));
    const [said, warnings]: [string[], string[]] = [[], []];
    const { weights } = await fitWeights(microConfig({ model, epochs: 1, maxSteps: 1, learningRate: 1e-30 }), {
      before({ events }) {
        events.on("note", ({ message }) => said.push(message));
        events.on("warning", ({ message }) => warnings.push(message));
      },
    });
    expect(warnings).toEqual([]);
    expect(said[0]).toMatch(
      /^resnet18: 100 of 102 weights are from owner\/tiny\. New: fc\.weight, fc\.bias\. Not used: fc\.weight, fc\.bias\.$/,
    );
    const { layer } = makePart(resnet18(options)).build(plain(7));
    const first = initialWeights(layer, 77);
    expect(weights["layer3.1.conv2.weight"]).toEqual([...first.get("layer3.1.conv2.weight")!.dataSync()]);
    expect(weights["fc.weight"]).toHaveLength(32 * 4);
    tf.dispose([...first.values()]);
  });

  it("keeps a head of its own classes, and none of as many others", async () => {
    const { layer } = makePart(model).build(plain(4));
    const messageFor = async (label_names?: string[]): Promise<string> => {
      putThere(file(resnet18, 4), { ...timmConfig, ...(label_names && { label_names }) });
      const data = { classes: ["a", "b", "c", "d"], mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.2, 0.2] };
      const built = makePart(model).build(plain(4));
      const { weights, message } = await makePart(model).firstWeights!({ ...built, layer }, { data });
      tf.dispose([...weights.values()]);
      return message;
    };
    expect(await messageFor()).toContain("New: none.");
    process.env.FITLOOP_CACHE = join(root, `cache-${count++}`);
    expect(await messageFor(["a", "b", "c", "d"])).toContain("New: none.");
    process.env.FITLOOP_CACHE = join(root, `cache-${count++}`);
    expect(await messageFor(["d", "c", "b", "a"])).toContain(
      "from owner/tiny. New: fc.weight, fc.bias. Not used: fc.weight, fc.bias.",
    );
  });

  it("says how to normalise the data, where its config.json expects something else", async () => {
    putThere(file(resnet18, 4), timmConfig);
    const said: string[] = [];
    await fitWeights(microConfig({ model, epochs: 1, maxSteps: 1 }), {
      before: ({ events }) => events.on("warning", ({ message }) => said.push(message)),
    });
    expect(said[0]).toContain("write mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.2, 0.2] into imageFolder()");
  });

  it("is refused with a backbone of another depth", async () => {
    putThere(file(resnet34, 4));
    await expect(fitWeights(microConfig({ model }))).rejects.toThrow(
      /owner\/tiny has the weights of another network: it has layer1\.2\./,
    );
  });

  it("leaves no tensor behind where it is refused", async () => {
    putThere(file(resnet34, 4));
    const { bytes } = await openWeights("hf:owner/tiny");
    expect(bytes.length).toBeGreaterThan(1000);
    const before = tf.memory().numTensors;
    await fitWeights(microConfig({ model })).catch(() => undefined);
    expect(tf.memory().numTensors).toBe(before);
  });
});
