"""The exponential average of weights that change every step: ema.json."""

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from common import normal, timm, versions, write_json

STEPS = 8


def average(start, weights, decay):
    averaged, after = start.clone(), []
    for w in weights:
        averaged = decay * averaged + (1 - decay) * w
        after.append(averaged)
    return after


def check(start, weights, decay, expected):
    """timm's and PyTorch's own averages do the same. PyTorch's takes the first update as the start."""
    model = torch.nn.Linear(len(start), 1, bias=False).double()
    model.weight.data[0] = start
    by_timm = timm.utils.ModelEmaV3(model, decay=decay)
    by_torch = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    by_torch.update_parameters(model)
    for w, after in zip(weights, expected):
        model.weight.data[0] = w
        by_timm.update(model)
        by_torch.update_parameters(model)
        torch.testing.assert_close(by_timm.module.weight[0], after, rtol=1e-12, atol=0)
        torch.testing.assert_close(by_torch.module.weight[0], after, rtol=1e-12, atol=0)


def main():
    generator = torch.Generator().manual_seed(4)
    start = normal(generator, 4)
    weights = start + 0.1 * normal(generator, STEPS, 4).cumsum(0)
    weights = weights.float().double()
    cases = []
    for decay in (0.99, 0.9, 0.0, 1.0):
        after = average(start, weights, decay)
        if 0 < decay < 1:  # PyTorch's refuses the ends
            check(start, weights, decay, after)
        cases.append({"decay": decay, "after": torch.stack(after)})
    write_json("ema.json", {"versions": versions(), "start": start, "weights": weights, "cases": cases})


if __name__ == "__main__":
    main()
