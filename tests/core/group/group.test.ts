/** Two processes train what one would, decide alike, and are closed to other machines. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Results, relativeDistance, runAlone, runGroup } from "../../support/ranks.js";

const names = ["law", "draws", "everything", "again", "evaluation", "halt", "skip", "rollback", "stop"];
const others = ["other config", "other answer", "other weights", "ports"];

let alone: Results;
let ranks: [Results, Results];
const both = (name: string): [Record<string, unknown>, Record<string, unknown>] => [ranks[0][name]!, ranks[1][name]!];

beforeAll(async () => {
  [ranks, alone] = await Promise.all([
    runGroup(2, [...names, ...others]) as Promise<[Results, Results]>,
    runAlone(["law", "draws", "evaluation"]),
  ]);
}, 300_000);

type Weights = Record<string, number[]>;

describe("two processes", () => {
  it("train as one does where a batch is the sum of its images, with uneven shares and an empty one", () => {
    const [first, second] = both("law");
    expect(first.hash).toBe(second.hash);
    expect(first.hash).not.toBe(alone.law!.hash); // sums of another order
    expect(relativeDistance(alone.law!.weights as Weights, first.weights as Weights)).toBeLessThan(1e-6);
  });

  it("draw for the whole batch in dropout and stochastic depth", () => {
    const [first, second] = both("draws");
    expect(first.hash).toBe(second.hash);
    expect(relativeDistance(alone.draws!.weights as Weights, first.weights as Weights)).toBeLessThan(1e-6);
  });

  it("have the same weights and figures to the bit, with statistics, accumulation, clipping and averages; and again", () => {
    const [first, second] = both("everything");
    expect(second).toEqual(first);
    expect(both("again").map(({ hash }) => hash)).toEqual([first.hash, first.hash]);
  });

  it("send one message a micro-batch", () => {
    const { messages, figures } = both("everything")[0] as { messages: Record<string, number>; figures: object };
    const microBatches = 3 * 5; // 48 images that train, in batches of 11
    const parameters = (figures as { parameters: number }).parameters;
    const long = Object.entries(messages).filter(([length]) => Number(length) > parameters);
    expect(long.map(([, count]) => count)).toEqual([microBatches]);
    // the first weights; and of each epoch its evaluation and the answer of shouldStop; validation and test at the end
    const short = Object.values(messages).reduce((sum, count) => sum + count, 0) - microBatches;
    expect(short).toBe(1 + 3 * 2 + 2);
  });

  it("share an evaluation out and have the bits of one", () => {
    expect(both("evaluation")[0]).toEqual(alone.evaluation);
    expect(both("evaluation")[1]).toEqual(alone.evaluation);
  });

  it.each(["halt", "skip", "rollback"])("agree on a NaN in one of them: %s", (policy) => {
    const [first, second] = both(policy);
    expect((first.diverged as object[])[0]).toMatchObject({ what: "loss", microBatch: 2 });
    if (policy === "skip") expect(first.hash).toMatch(/^[0-9a-f]{64}$/);
    else expect(first.code).toBe("ERR_DIVERGED"); // it comes again after a rollback
    expect(first.diverged).toHaveLength(policy === "rollback" ? 3 : 1);
    expect({ ...second, message: undefined }).toEqual({ ...first, message: undefined }); // one names the tensor
  });

  it("stop in the same step where one is told to", () => {
    const [first, second] = both("stop");
    expect(first.hash).toBe(second.hash);
    expect([first.steps, second.steps]).toEqual([first.steps, first.steps]);
    expect(first.stopReason).toBe("interrupted (stopped)");
    expect(second.stopReason).toBe("interrupted (SIGINT)");
  });

  it("refuse to train two configs", () => {
    for (const found of both("other config")) {
      expect(found.code).toBe("ERR_PEER");
      expect(found.message).toContain(
        "The processes do not train the same run: rank 1 has another config and another state of weights and optimizer than rank 0.",
      );
    }
  });

  it("refuse to part where a plugin answers by what it sees in its process", () => {
    for (const found of both("other answer")) {
      expect(found).toMatchObject({
        code: "ERR_PEER",
        message: expect.stringContaining("rank 1 has another answer of shouldStop than rank 0"),
      });
    }
  });

  it("notice at an epoch's end that their weights have parted", () => {
    for (const found of both("other weights")) {
      expect(found).toMatchObject({
        code: "ERR_PEER",
        message: expect.stringContaining("rank 1 has another state of weights than rank 0"),
      });
    }
  });

  it("listen on 127.0.0.1 alone", () => {
    for (const found of both("ports")) {
      const addresses = (found.listening as string[]).map((each) => each.split(":")[0]);
      expect(addresses.length).toBeGreaterThan(0);
      for (const address of addresses) expect(["0100007F", "0000000000000000FFFF00000100007F"]).toContain(address);
    }
  });
});
