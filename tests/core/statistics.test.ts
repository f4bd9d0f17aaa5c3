import { expect, it } from "vitest";
import { quantile } from "../../core/statistics.js";

it("takes quantiles as NumPy does", () => {
  // numpy.quantile([1, 2, 4, 8], [0, 0.1, 0.5, 0.975, 1])
  const expected = [1, 1.3, 3, 7.7, 8];
  [0, 0.1, 0.5, 0.975, 1].forEach((share, at) => expect(quantile([1, 2, 4, 8], share)).toBeCloseTo(expected[at]!, 12));
});
