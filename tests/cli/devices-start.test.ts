/** `--devices N` where the system starts fewer processes than asked for. */
import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { expect, it, vi } from "vitest";
import { trainOnDevices } from "../../cli/devices.js";

vi.mock("node:child_process", () => ({ spawn: vi.fn() }));

/** A process that runs until it is killed. */
class Child extends EventEmitter {
  readonly stdout = null;
  readonly stderr = null;
  readonly exitCode = null;
  signalCode: string | null = null;
  kill(signal: string): void {
    this.signalCode = signal;
    this.emit("close", null, signal);
  }
}

it("a rank that cannot be started ends the others, and the error says which", async () => {
  const [first, second] = [new Child(), new Child()];
  vi.mocked(spawn)
    .mockReturnValueOnce(first as never)
    .mockImplementationOnce(() => {
      setImmediate(() => second.emit("error", new Error("spawn EAGAIN")));
      return second as never;
    });
  await expect(trainOnDevices(2, ["fit"])).rejects.toMatchObject({
    code: "ERR_IO",
    message: "The process of rank 1 cannot be started: spawn EAGAIN.",
  });
  expect(first.signalCode).toBe("SIGTERM");
});
