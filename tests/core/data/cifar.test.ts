import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type CifarOptions, cifar10, cifar100 } from "../../../core/data/cifar.js";
import { checkHistogram } from "../../../core/data/cifar-checks.js";
import type { Data, DataSource } from "../../../core/data/dataset.js";
import { TrainerError } from "../../../core/errors.js";
import { type Given, makePart } from "../../../core/parts.js";
import {
  type Files,
  gzip,
  labelsOf,
  miniCifar10,
  miniCifar100,
  pixelOf,
  recordFile,
  tarOfFiles,
  temporaryFolder,
} from "../../support/mini-cifar.js";

const root = temporaryFolder();
const whole = miniCifar100();
let count = 0;

function folderOf(files: Files): string {
  const folder = join(root, `set-${count++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

function saved(bytes: Buffer, name = `archive-${count++}`): string {
  writeFileSync(join(root, name), bytes);
  return join(root, name);
}

async function failure(source: Given<DataSource>): Promise<TrainerError> {
  const error = await makePart(source)
    .load({})
    .then(
      () => undefined,
      (error: unknown) => error,
    );
  expect(error).toBeInstanceOf(TrainerError);
  expect((error as TrainerError).exitCode).toBe(65);
  return error as TrainerError;
}

const failureOf = (files: Files): Promise<TrainerError> => failure(cifar100({ path: folderOf(files) }));

function train(labels: readonly (readonly number[])[]): Files {
  return { ...whole, "train.bin": recordFile(labels) };
}

/** Rows of pixels in the order height, width, channel. */
function expectImage(data: Data["train"], index: number, record: number): Promise<void> {
  return Promise.resolve(data.read([index])).then(([image]) => {
    expect([image!.height, image!.width, image!.pixels.length]).toEqual([32, 32, 3072]);
    for (const [row, column, channel] of [
      [0, 0, 0],
      [0, 0, 1],
      [0, 1, 2],
      [1, 0, 0],
      [17, 5, 1],
      [31, 31, 2],
    ] as const) {
      expect(image!.pixels[(row * 32 + column) * 3 + channel]).toBe(pixelOf(record, row, column, channel));
    }
  });
}

describe("CIFAR-100", () => {
  it("reads the same from a folder, the folder above, a .tar.gz, a .tar and the folder of one", async () => {
    const tar = await tarOfFiles(whole);
    const above = join(root, "above");
    mkdirSync(join(above, "cifar-100-binary"), { recursive: true });
    for (const [name, content] of Object.entries(whole)) {
      writeFileSync(join(above, "cifar-100-binary", name), content);
    }
    const beside = join(root, "beside");
    mkdirSync(beside);
    writeFileSync(join(beside, "cifar-100-binary.tar.gz"), gzip(tar));
    const paths = [folderOf(whole), above, saved(gzip(tar)), saved(tar, "misnamed.zip"), beside];
    const fingerprints = new Set<string>();
    for (const path of paths) {
      const data = await makePart(cifar100({ path })).load({});
      expect([data.train.length, data.test!.length, data.height, data.width]).toEqual([100, 10, 32, 32]);
      expect(data.classes).toHaveLength(100);
      expect(data.classes[99]).toBe("fine_99");
      expect([...data.train.labels.slice(0, 4)]).toEqual([0, 37, 74, 11]);
      expect([...data.test!.labels]).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
      await expectImage(data.train, 0, 0);
      await expectImage(data.train, 99, 99);
      await expectImage(data.test!, 3, 1003);
      expect(data.train.describe(17)).toBe("train.bin#17");
      fingerprints.add(data.fingerprint);
    }
    expect(fingerprints.size).toBe(1);
    const other = { ...whole, "train.bin": Buffer.from(whole["train.bin"]!) };
    other["train.bin"][2000]! ^= 1;
    expect(fingerprints).not.toContain((await makePart(cifar100({ path: folderOf(other) })).load({})).fingerprint);
  });

  it("gives fresh pixels with every read", async () => {
    const { train } = await makePart(cifar100({ path: folderOf(whole) })).load({});
    const [first] = await train.read([5]);
    first!.pixels.fill(0);
    await expectImage(train, 5, 5);
  });

  it("says when a split is not the official size, in one line each", async () => {
    const log = vi.fn();
    await makePart(cifar100({ path: folderOf(whole) })).load({ log });
    expect(log.mock.calls.map(([line]) => line)).toEqual([
      "CIFAR-100 train: 100 images (1 to 1 a class); the official split has 50000",
      "CIFAR-100 test: 10 images (0 to 1 a class); the official split has 10000",
    ]);
  });

  describe("files", () => {
    const size = whole["train.bin"]!.length;
    it.each([
      ["empty", 0],
      ["a byte short", size - 1],
      ["half a record short", size - 1537],
      ["one byte", 1],
    ])("refuses train.bin that is %s, and says what it has", async (_, length) => {
      const { message } = await failureOf({ ...whole, "train.bin": whole["train.bin"]!.subarray(0, length) });
      expect(message).toContain("train.bin has");
      expect(message).toContain(`${length} bytes, expected a multiple of 3074`);
      expect(message).toContain(`${Math.floor(length / 3074)} whole records and ${length % 3074} bytes more`);
    });

    it("refuses a byte more, and a web page", async () => {
      const longer = Buffer.concat([whole["train.bin"]!, Buffer.from([0])]);
      expect((await failureOf({ ...whole, "train.bin": longer })).message).toContain("100 whole records and 1 bytes");
      const page = Buffer.from("<html><body>Not found</body></html>");
      expect((await failureOf({ ...whole, "test.bin": page })).message).toContain("like a web page");
    });

    it.each(Object.keys(whole))("names %s if it is missing", async (name) => {
      const { [name]: _, ...rest } = whole;
      const { message } = await failureOf(rest);
      expect(message).toContain(`has no ${name}.`);
      expect(message).toContain("binary version of CIFAR-100, not the Python");
      const archive = saved(gzip(await tarOfFiles(rest)));
      expect((await failure(cifar100({ path: archive }))).message).toContain(`${archive} has no ${name}.`);
    });

    it("refuses a folder in the place of a file", async () => {
      const path = folderOf({ "test.bin": whole["test.bin"]! });
      mkdirSync(join(path, "train.bin"));
      expect((await failure(cifar100({ path }))).message).toContain("train.bin is not a file");
    });

    it("refuses a list of names that is short, long or has one twice", async () => {
      const names = whole["fine_label_names.txt"]!.toString();
      const list = (text: string) => failureOf({ ...whole, "fine_label_names.txt": Buffer.from(text) });
      expect((await list(names.replace("fine_7\n", ""))).message).toContain("99 names, expected 100");
      expect((await list(`${names}more\n`)).message).toContain("101 names");
      expect((await list(names.replace("fine_7\n", "fine_8\n"))).message).toContain('the name "fine_8" twice');
    });

    it("takes names with carriage returns", async () => {
      const names = Buffer.from(whole["fine_label_names.txt"]!.toString().replaceAll("\n", "\r\n"));
      const data = await makePart(cifar100({ path: folderOf({ ...whole, "fine_label_names.txt": names }) })).load({});
      expect(data.classes[3]).toBe("fine_3");
    });

    it("calls an archive cut at any of twelve places damaged, with its path", async () => {
      const bytes = gzip(await tarOfFiles(whole));
      for (let at = 0; at < 12; at++) {
        const path = saved(bytes.subarray(0, Math.floor((bytes.length * at) / 12)));
        expect((await failure(cifar100({ path }))).message).toContain(path);
      }
    });

    it("says which path does not exist, is no data, or is neither file nor folder", async () => {
      expect((await failure(cifar100({ path: join(root, "nowhere") }))).message).toContain("nowhere does not exist");
      expect((await failure(cifar100({ path: folderOf({}) }))).message).toContain("Expected a folder with train.bin");
      expect((await failure(cifar100({ path: "/dev/null" }))).message).toContain("neither a file nor a folder");
      expect((await failure(cifar100({ path: join(folderOf(whole), "train.bin", "x") }))).message).toContain("ENOTDIR");
    });
  });

  describe("labels", () => {
    const good = Array.from({ length: 20 }, (_, at) => labelsOf(at));
    it.each([
      [0, [0, 100], "record 0 has fine label 100, expected 0 to 99"],
      [7, [0, 255], "record 7 has fine label 255"],
      [19, [20, 19], "record 19 has coarse label 20, expected 0 to 19"],
    ] as const)("names record %i with %j", async (record, bytes, message) => {
      const labels = good.map((label, at) => (at === record ? bytes : label));
      expect((await failureOf(train(labels))).message).toContain(message);
    });

    it("finds swapped label bytes", async () => {
      const swapped = Array.from({ length: 100 }, (_, at) => [...labelsOf(at)].reverse());
      expect((await failureOf(train(swapped))).message).toContain("record 20 has coarse label 20");
    });

    it("finds a class in two families, within a file and across files", async () => {
      const twice = [...good, [3, 7]];
      const { message } = await failureOf(train(twice));
      expect(message).toMatch(/train\.bin: record 20 puts the fine class 7 \(fine_7\) into the coarse class 3/);
      expect(message).toMatch(/record 7 of .*train\.bin into 1/);
      const across = await failureOf({ ...whole, "test.bin": recordFile([[1, 0]]) });
      expect(across.message).toMatch(/test\.bin: record 0 .* coarse class 1, and record 0 of .*train\.bin into 0/);
    });

    it("refuses training labels that are all the same", async () => {
      expect((await failureOf(train([labelsOf(4), labelsOf(4)]))).message).toContain("expected several classes");
    });

    it("refuses a full-size split whose classes are not equally frequent", () => {
      const labels = Uint16Array.from({ length: 50_000 }, (_, at) => at % 100);
      const layout = { title: "CIFAR-100", labelBytes: [{ name: "fine label", classes: 100 }] };
      const check = () => checkHistogram(layout as never, "train", "path", labels, () => {});
      check();
      labels[0] = 1;
      expect(check).toThrow("the train split has 499 images of class 0, expected 500 of each");
    });
  });
});

describe("CIFAR-10", () => {
  it("reads five files as one training split", async () => {
    const files = miniCifar10();
    for (const path of [folderOf(files), saved(gzip(await tarOfFiles(files, "cifar-10-batches-bin")))]) {
      const data = await makePart(cifar10({ path })).load({});
      expect([data.train.length, data.test!.length, data.classes.length]).toEqual([20, 10, 10]);
      expect([...data.train.labels.slice(4, 9)]).toEqual([8, 9, 0, 1, 2]);
      await expectImage(data.train, 6, 202);
      await expectImage(data.test!, 9, 1009);
      expect(data.train.describe(6)).toBe("data_batch_2.bin#2");
    }
  });

  it("refuses CIFAR-100's records", async () => {
    const { message } = await failure(cifar10({ path: folderOf(whole) }));
    expect(message).toContain("Expected a folder with data_batch_1.bin");
    const files = { ...miniCifar10(), "data_batch_3.bin": whole["train.bin"]! };
    expect((await failure(cifar10({ path: folderOf(files) }))).message).toContain("data_batch_3.bin has 307400 bytes");
  });
});

describe("without a path", () => {
  beforeEach(() => vi.stubEnv("FITLOOP_CACHE", join(root, "cache")));
  afterEach(() => vi.unstubAllEnvs());

  it("says how to give or get the data", async () => {
    const { message } = await failure(cifar100());
    expect(message).toContain("--data PATH");
    expect(message).toContain("cifar100({ download: true })");
    expect(message).toContain("169 MB");
    expect(message).toContain(join(root, "cache", "data", "cifar-100-binary.tar.gz"));
  });

  it("uses the archive in the cache, with download too", async () => {
    mkdirSync(join(root, "cache", "data"), { recursive: true });
    writeFileSync(join(root, "cache", "data", "cifar-100-binary.tar.gz"), gzip(await tarOfFiles(whole)));
    for (const options of [{}, { download: true }]) {
      expect((await makePart(cifar100(options)).load({})).train.length).toBe(100);
    }
  });
});

describe("options", () => {
  it("records an absolute path, and makes the same source again from the record", async () => {
    const path = folderOf(whole);
    const { options } = makePart(cifar100({ path: relative(process.cwd(), path) }));
    expect(options).toEqual({ path });
    expect((await makePart(cifar100(options as CifarOptions)).load({})).train.length).toBe(100);
    expect(makePart(cifar10()).options).toEqual({ download: false });
  });

  it("refuses what it does not know", () => {
    expect(() => makePart(cifar100({ pth: "x" } as never))).toThrow(/pth.*did you mean "path"/);
    expect(() => makePart(cifar100({ path: 3 } as never))).toThrow(TrainerError);
    expect(() => makePart(cifar100({ path: "" }))).toThrow(TrainerError);
  });
});
