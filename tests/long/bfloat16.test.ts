/** bfloat16 in the deep networks; tests/core/backend/bfloat16.test.ts has the others. */
import { beforeAll, expect, it } from "vitest";
import { loadBackend } from "../../core/index.js";
import { deep, mustResembleFloat32 } from "../support/bfloat16-networks.js";

beforeAll(async () => void (await loadBackend({ name: "tensorflow" })));

it("there are deep networks", () => expect(deep.length).toBeGreaterThan(1));
it.each(deep)("%s has float32 logits and gradients near those of float32", mustResembleFloat32);
