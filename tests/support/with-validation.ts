import { makePart } from "../../core/parts.js";
import { microConfig } from "../../core/testing/index.js";

/** The data of `microConfig` with validation images of its own: `holdout` has no effect. */
export function withValidation(): ReturnType<typeof microConfig>["data"] {
  const data = makePart(microConfig().data);
  return {
    ...data,
    name: "own-validation",
    load: async (context) => ({ ...(await data.load(context)), validation: Int32Array.of(0, 5, 10, 15) }),
  };
}
