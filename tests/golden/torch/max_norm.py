"""torch.renorm of kernels, a limit on the norm of each unit: max-norm.json."""

import torch

from common import normal, versions, write_json


def describe(name, weight, maximum):
    return {"name": name, "weight": weight, "maximum": maximum, "renormed": torch.renorm(weight, 2, 0, maximum)}


generator = torch.Generator().manual_seed(5)
linear = normal(generator, 4, 6)
convolution = normal(generator, 3, 2, 2, 2)
depthwise = normal(generator, 3, 1, 2, 2)
write_json("max-norm.json", {
    "versions": versions(),
    "cases": [
        describe("linear, some units", linear, float(linear.norm(dim=1).median())),
        describe("linear, every unit", linear, 0.5),
        describe("linear, no unit", linear, 100.0),
        describe("linear, a unit of zeros", torch.cat([linear[:1], torch.zeros(1, 6, dtype=torch.float64)]), 1.0),
        describe("conv, some units", convolution, float(convolution.flatten(1).norm(dim=1).median())),
        describe("depthwise, every unit", depthwise, 0.25),
    ],
})
