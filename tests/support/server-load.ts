/** examples/server under load: so many uploads, eight at a time, every tenth of them no image. */
import { fork } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";

export interface Load {
  /** Status -> answers. */
  readonly statuses: Readonly<Record<number, number>>;
  /** Answers to one image that differ from the first. */
  readonly different: number;
  /** Of the server, after a tenth of the requests and after all. */
  readonly tensors: readonly [number, number];
  readonly megabytes: readonly [number, number];
  /** What a GET and an upload by a form are answered. */
  readonly refusals: readonly string[];
}

export async function loadServer(run: string, requests: number): Promise<Load> {
  const folder = join(import.meta.dirname, `server-${process.pid}`); // where "fitloop" is found
  mkdirSync(folder, { recursive: true });
  cpSync(join(import.meta.dirname, "../../examples/server/server.mjs"), join(folder, "server.mjs"));
  writeFileSync(
    join(folder, "watched.mjs"),
    `import { tf } from "fitloop";
    process.on("message", () => process.send({ tensors: tf.memory().numTensors, bytes: process.memoryUsage().rss }));
    await import("./server.mjs");`,
  );
  const server = fork(join(folder, "watched.mjs"), [run], {
    execArgv: ["--import", import.meta.resolve("tsx")],
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  try {
    const address = await new Promise<string>((resolve, reject) => {
      server.stdout!.on("data", (text: Buffer) => resolve(String(text).trim()));
      server.on("exit", (code) => reject(new Error(`The server ended with ${code}.`)));
    });
    const look = (): Promise<{ tensors: number; bytes: number }> =>
      new Promise((resolve) => {
        server.once("message", (message) => resolve(message as { tensors: number; bytes: number }));
        server.send("look");
      });
    const images = await Promise.all(
      ["#c03020", "#20a040", "#3040d0"].map((background, at) =>
        sharp({ create: { width: 60 + 10 * at, height: 50, channels: 3, background } })
          .jpeg()
          .toBuffer(),
      ),
    );
    const statuses: Record<number, number> = {};
    const answers = images.map(() => new Set<string>());
    let sent = 0;
    const send = async (until: number): Promise<void> => {
      while (sent < until) {
        const number = sent++;
        const kind = number % images.length;
        const bad = number % 10 === 9;
        const body = new Uint8Array(bad ? Buffer.from("no image") : images[kind]!);
        const response = await fetch(address, { method: "POST", body });
        statuses[response.status] = (statuses[response.status] ?? 0) + 1;
        const text = await response.text();
        if (!bad) answers[kind]!.add(text);
      }
    };
    const all = (until: number): Promise<void[]> => Promise.all(Array.from({ length: 8 }, () => send(until)));
    await all(Math.ceil(requests / 10));
    const first = await look();
    await all(requests);
    const last = await look();
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(images[0]!)]), "cat.jpg");
    const refusals = [await fetch(address), await fetch(address, { method: "POST", body: form })];
    return {
      refusals: await Promise.all(refusals.map(async (each) => `${each.status} ${await each.text()}`)),
      statuses,
      different: answers.reduce((sum, { size }) => sum + size - 1, 0),
      tensors: [first.tensors, last.tensors],
      megabytes: [first.bytes / 1e6, last.bytes / 1e6],
    };
  } finally {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
