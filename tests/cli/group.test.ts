/** The config of a process that a launcher started. */
import { expect, it } from "vitest";
import { inGroup, withoutAddresses } from "../../cli/group.js";
import { microConfig } from "../../core/testing/index.js";
import { dataParallel, ema } from "../../plugins/index.js";

const rank1 = { RANK: "1", WORLD_SIZE: "2" };

it("has the plugin data-parallel with what the command line says", () => {
  const config = microConfig({ plugins: [ema()] });
  expect(inGroup(config, {}, {}).config).toBe(config);
  const joined = inGroup(config, { hosts: ["localhost"], port: 3000 }, rank1);
  expect(joined).toMatchObject({ rank: 1, size: 2 });
  expect(joined.config.plugins!.map(({ name }) => name)).toEqual(["ema", "data-parallel"]);
  expect(joined.config.plugins![1]!.options).toMatchObject({ hosts: ["localhost"], port: 3000 });
});

it("refuses a port out of range as an option", () => {
  expect(() => inGroup(microConfig(), { hosts: ["localhost"], port: 65_535 }, rank1)).toThrow(
    expect.objectContaining({
      code: "ERR_OPTION",
      message: expect.stringMatching(/^Plugin "data-parallel": "port" .*got 65535\.$/) as string,
    }),
  );
});

it("does not take addresses and consent from a run's record", () => {
  const before = dataParallel({ hosts: ["a", "b"], port: 3000, insecureNetwork: true, watchdogSeconds: 9 });
  const config = withoutAddresses(microConfig({ plugins: [before, ema()] }));
  const [group, other] = config.plugins!;
  expect(group!.options).toEqual({ watchdogSeconds: 9 });
  expect(other!.name).toBe("ema");
  expect(() => inGroup(config, { hosts: ["a", "b"] }, rank1)).toThrow("pass --insecure-network");
});
