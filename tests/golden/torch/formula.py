"""Weights and images by a formula of their place, so that no file has to hold them.

The n-th tensor of a state, element i (flat, in PyTorch's layout), has u = fract(sin(12.9898 i + 78.233 n) * 43758.5453), n from
1, and images are tensor 0 in NHWC. What u becomes is in `value`. Computed in float64, values rounded to float32 first.
"""

import torch

BATCH = 2


def places(number, count):
    x = torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898 + number * 78.233) * 43758.5453
    return x - x.floor()


def value(name, shape, number, scale=1.0):
    u = places(number, torch.Size(shape).numel()).reshape(shape)
    centred = 2 * u - 1
    if name.endswith("running_var"):
        made = 0.5 + u
    elif len(shape) == 1:
        made = 0.2 * centred + (scale if name.endswith("weight") else 0)
    else:
        made = centred * (6 / torch.Size(shape[1:]).numel()) ** 0.5
    return made.float().double()


def logits(model, size, scale):
    model = model.double().eval()
    names = [k for k in model.state_dict() if not k.endswith("num_batches_tracked")]
    state = {k: value(k, model.state_dict()[k].shape, n, scale) for n, k in enumerate(names, start=1)}
    model.load_state_dict(state, strict=False)
    pictures = value("pictures", (BATCH, size, size, 3), 0)
    with torch.no_grad():
        return model(pictures.permute(0, 3, 1, 2))
