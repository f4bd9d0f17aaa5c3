import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

import { readArchive } from "../../../core/data/archive.js";
import { TrainerError } from "../../../core/errors.js";
import { repairChecksums, survivesDamage } from "../../support/damaged-archive.js";
import { gzip, noise, tarOf, tarOfFiles, temporaryFolder } from "../../support/mini-cifar.js";

const folder = temporaryFolder();
const names = ["train.bin", "test.bin", "names.txt"];
const content = Buffer.from("good content\n");
const good = { name: "set/train.bin", content };
let count = 0;

function save(bytes: Buffer): string {
  const path = join(folder, `archive-${count++}`);
  writeFileSync(path, bytes);
  return path;
}

async function failure(action: Promise<unknown>): Promise<TrainerError> {
  const error = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(TrainerError);
  return error as TrainerError;
}

describe("readArchive", () => {
  it("reads the named members of a .tar and a .tar.gz, whole and with their hash", async () => {
    const big = Buffer.alloc(300_001, 7);
    const files = {
      "train.bin": big,
      "test.bin": Buffer.alloc(0),
      "names.txt": content,
      "other.txt": content,
    };
    const tar = await tarOfFiles(files, "set");
    for (const bytes of [tar, gzip(tar)]) {
      const members = await readArchive(save(bytes), names);
      expect([...members.keys()].sort()).toEqual(["names.txt", "test.bin", "train.bin"]);
      expect(Buffer.compare(members.get("train.bin")!.bytes, big)).toBe(0);
      expect(members.get("test.bin")!.bytes).toHaveLength(0);
      expect(members.get("names.txt")!.sha256).toBe(createHash("sha256").update(content).digest("hex"));
    }
  });

  it.each(["train.bin", "./train.bin", "set/train.bin", "./set/train.bin", "train.bin".padStart(8)])(
    "takes a member called %s",
    async (name) => {
      expect([...(await readArchive(save(await tarOf([{ name, content }])), names)).keys()]).toEqual(["train.bin"]);
    },
  );

  const passedOver = [
    "../train.bin",
    "set/../train.bin",
    "/train.bin",
    "/etc/train.bin",
    "set/../../train.bin",
    "a/b/train.bin",
    "..\\train.bin",
    "set\\train.bin",
    "C:\\train.bin",
    "train.bin\u0000x/../y",
    "TRAIN.BIN",
    "Train.bin",
    "set/._train.bin",
    "train.bin.gz",
    "train.bin/x",
    "../set-evil/train.bin",
    "x".repeat(300) + "/../train.bin",
    "\u202Etrain.bin",
  ];
  it.each(passedOver)("passes over a member called %j and writes nothing", async (name) => {
    const before = listing();
    const path = save(
      await tarOf([
        { name, content },
        { name: "set/names.txt", content },
      ]),
    );
    const members = await readArchive(path, names);
    expect(members.has("train.bin")).toBe(name.startsWith("train.bin\u0000"));
    expect(members.has("names.txt")).toBe(true);
    expect(listing().filter((entry) => !before.includes(entry))).toEqual([path]);
  });

  it.each(["symlink", "link", "fifo", "character-device", "block-device", "directory"] as const)(
    "refuses a %s that has a name it wants",
    async (type) => {
      const path = save(await tarOf([{ name: "set/train.bin", type, linkname: "/etc/passwd" }, good]));
      const error = await failure(readArchive(path, names));
      expect(error.code).toBe("ERR_DATA");
      expect(error.message).toContain(type === "directory" ? "is a directory" : `is a ${type}, expected a plain file`);
      expect(error.message).toContain(path);
    },
  );

  it("never follows a link into another file of the archive", async () => {
    const link = { name: "set", type: "symlink" as const, linkname: "/etc" };
    const members = await readArchive(save(await tarOf([link, { name: "set/train.bin", content }])), names);
    expect(Buffer.from(members.get("train.bin")!.bytes)).toEqual(content);
  });

  it("refuses a wanted member that comes twice, from one folder or two", async () => {
    for (const name of ["set/train.bin", "other/train.bin"]) {
      const error = await failure(readArchive(save(await tarOf([good, { name, content }])), names));
      expect(error.message).toContain("train.bin is in it twice");
    }
  });

  it("stops at more entries than allowed", async () => {
    const entries = Array.from({ length: 65 }, (_, at) => ({ name: `file-${at}`, content: Buffer.alloc(0) }));
    await readArchive(save(await tarOf(entries.slice(1))), names);
    const error = await failure(readArchive(save(await tarOf(entries)), names));
    expect(error.message).toContain("more than 64 entries");
  });

  it("stops a gzip bomb at the cap, before it is unpacked", async () => {
    const bomb = gzip(await tarOf([{ name: "padding", content: Buffer.alloc(64e6) }, good]));
    expect(bomb.length).toBeLessThan(64e6 / 100);
    const error = await failure(readArchive(save(bomb), names, { bytes: 1e6 }));
    expect(error.message).toContain("unpacks to more than the 1000000 bytes");
  });

  it("refuses a member that claims more than the cap, and an archive that is larger", async () => {
    const tar = await tarOf([good]);
    const claimed = await failure(readArchive(save(claim(tar, 5e6)), names, { bytes: 1e6 }));
    expect(claimed.message).toContain("claims 5000000 bytes");
    const large = await failure(readArchive(save(tar), names, { bytes: 100 }));
    expect(large.message).toContain(`it has ${tar.length} bytes`);
  });

  it("refuses a member whose size is a lie, and a negative or absurd one in an extended header", async () => {
    expect((await failure(readArchive(save(claim(await tarOf([good]), 4000)), names))).message).toContain("cut short");
    for (const size of ["-1", "99999999999999999999", "abc"]) {
      const tar = await tarOf([{ name: "set/train.bin", content, pax: { size } } as never]);
      const error = await failure(readArchive(save(tar), names));
      expect(error.code).toBe("ERR_DATA");
    }
  });

  it("reads long names of both kinds and finds nothing in them", async () => {
    const long = `${"deep/".repeat(60)}train.bin`;
    expect((await readArchive(save(await tarOf([{ name: long, content }])), names)).size).toBe(0);
  });

  it("says what a file is that is no archive", async () => {
    const page = await failure(readArchive(save(Buffer.from("<!DOCTYPE html><title>404</title>")), names));
    expect(page.message).toMatch(/begins with "<!DOCTYPE html><".*looks like a web page/);
    expect((await failure(readArchive(save(Buffer.alloc(0)), names))).message).toContain("it is empty");
    const zip = await failure(readArchive(save(Buffer.from("PK\u0003\u0004 some zip file")), names));
    expect(zip.message).toContain("neither a gzip nor a tar");
    const text = await failure(readArchive(save(gzip(Buffer.from("not a tar".repeat(200)))), names));
    expect(text.message).toContain("damaged at its first entry");
  });

  it("refuses what follows the end of the archive unless it is more zeros", async () => {
    const tar = await tarOf([good]);
    expect((await readArchive(save(Buffer.concat([tar, Buffer.alloc(9216)])), names)).size).toBe(1);
    const error = await failure(readArchive(save(Buffer.concat([tar, Buffer.alloc(512, 65)])), names));
    expect(error.code).toBe("ERR_DATA");
  });

  it("calls every cut of a .tar.gz and a .tar cut short, in one ERR_DATA with the path", async () => {
    const tar = await tarOf([
      { name: "set/names.txt", content },
      { name: "set/train.bin", content: noise(3000) },
      { name: "set/test.bin", content: noise(3000) },
    ]);
    const gzipped = gzip(tar);
    let cuts = 0;
    for (const [whole, step] of [
      [gzipped, Math.ceil(gzipped.length / 40)],
      [tar, 256],
    ] as const) {
      for (let length = 0; length < whole.length; length += step) {
        const path = save(whole.subarray(0, length));
        const error = await failure(readArchive(path, names));
        expect(error.code).toBe("ERR_DATA");
        expect(error.message).toContain(path);
        expect(error.message).toMatch(/cut short|is empty|neither a gzip/);
        cuts++;
      }
    }
    expect(cuts).toBeGreaterThan(60);
    expect((await readArchive(save(gzipped), names)).size).toBe(3);
  });

  it("finds a flipped bit in the compressed data, unless it changes nothing", async () => {
    const bytes = gzip(await tarOf([{ name: "set/train.bin", content: noise(2000) }]));
    let found = 0;
    for (let at = 10; at < bytes.length; at += 29) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 4;
      // A copy from another place in a run of zeros is the same zeros: only then may the archive be read.
      const same = gunzipOr(damaged)?.equals(gunzipSync(bytes)) ?? false;
      const outcome = await readArchive(save(damaged), names).catch((error: TrainerError) => error.code);
      expect(outcome).toEqual(same ? expect.any(Map) : "ERR_DATA");
      if (!same) found++;
    }
    expect(found).toBeGreaterThan(60);
  });

  it("ends for headers on which the parser alone would wait for ever", async () => {
    const tar = await tarOf([{ name: "other", content }, good]);
    const folderWithSize = Buffer.from(tar);
    folderWithSize[156] = "5".charCodeAt(0);
    const sizeless = Buffer.from(tar);
    sizeless[124] = 0x90; // neither octal nor the mark of a binary number
    for (const bytes of [folderWithSize, sizeless]) {
      repairChecksums(bytes);
      expect((await failure(readArchive(save(bytes), names))).message).toContain('damaged at "other"');
    }
  });

  it("ends with members or one ERR_DATA for any damage to headers", () =>
    survivesDamage(join(folder, "mutated"), names, 300));
});

function gunzipOr(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes);
  } catch {
    return undefined;
  }
}

/** Everything beside and above the test's folder that a careless extraction could write. */
function listing(): string[] {
  const places = [folder, dirname(folder)];
  mkdirSync(join(folder, "sentinel"), { recursive: true });
  expect(existsSync("/etc/train.bin")).toBe(false);
  return places.flatMap((place) =>
    readdirSync(place)
      .filter((name) => place === folder || /^(train\.bin|set|set-evil|other)$/i.test(name))
      .map((name) => join(place, name)),
  );
}

/** The tar with another size in the header of its first entry. */
function claim(tar: Buffer, size: number): Buffer {
  const bytes = Buffer.from(tar);
  bytes.write(size.toString(8).padStart(11, "0") + " ", 124, "latin1");
  repairChecksums(bytes);
  return bytes;
}
