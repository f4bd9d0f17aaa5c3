"""Single layers, forward and backward: layers.safetensors and layers.json.

Everything is computed in float64 from float32 inputs. Feature maps are written NHWC, weights as PyTorch keeps them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from common import normal, versions, write_json, write_tensors
from models import SqueezeExcite

generator = torch.Generator().manual_seed(1)
EVEN, ODD = (8, 6), (7, 9)  # not square, so that height and width cannot be mistaken for each other
cases, tensors = [], {}


def exact(x):
    """The float64 copy of a float32 number, so that both sides start from the same bits."""
    return x.float().double().detach()


def nhwc(x):
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def add(name, kind, settings, x, layer, extra=lambda: {}):
    """Runs `layer` (a module or a function) on `x` with a random gradient of the output, and keeps every tensor."""
    x = exact(x).requires_grad_()
    parameters = dict(layer.named_parameters()) if isinstance(layer, nn.Module) else {}
    before = {k: v.detach().clone() for k, v in layer.state_dict().items()} if parameters else {}
    y = layer(x)
    dy = normal(generator, *y.shape)
    gradients = torch.autograd.grad(y, [x, *parameters.values()], dy)
    found = {"x": nhwc(x.detach()), "y": nhwc(y.detach()), "dy": nhwc(dy), "dx": nhwc(gradients[0])}
    found |= {k: v for k, v in before.items() if k != "num_batches_tracked"}
    found |= {f"d.{k}": g for k, g in zip(parameters, gradients[1:])}
    found |= extra()
    tensors.update({f"{name}.{k}": v for k, v in found.items()})
    cases.append({"name": name, "kind": kind, **settings, "tensors": {k: list(v.shape) for k, v in found.items()}})


def randomise(module):
    """Float32 values for every parameter; norms' scales around 1."""
    for name, p in module.named_parameters():
        scale = p[0].numel() ** -0.5 if p.dim() > 1 else 0.3
        centre = 1.0 if isinstance(module, nn.BatchNorm2d) and name == "weight" else 0.0
        p.data = exact(centre + scale * normal(generator, *p.shape))
    return module.double()


def convolutions():
    for size, (height, width) in (("even", EVEN), ("odd", ODD)):
        for kernel in (1, 3, 5, 7):
            for stride in (1, 2):
                module = randomise(nn.Conv2d(3, 4, kernel, stride, kernel // 2, bias=kernel == 1))
                settings = {"kernel": kernel, "stride": stride, "padding": kernel // 2}
                x = normal(generator, 2, 3, height, width)
                add(f"conv-{kernel}-stride{stride}-{size}", "conv", settings, x, module)
        for kernel in (3, 5):
            for stride in (1, 2):
                module = randomise(nn.Conv2d(4, 4, kernel, stride, kernel // 2, groups=4, bias=False))
                settings = {"kernel": kernel, "stride": stride, "padding": kernel // 2}
                x = normal(generator, 2, 4, height, width)
                add(f"depthwise-{kernel}-stride{stride}-{size}", "depthwise", settings, x, module)


def norms():
    """Training mode; `evaluation` is what evaluation mode makes of x with the running statistics after."""
    for name, shape in (("norm", (4, 5, *ODD)), ("norm-one-pixel", (6, 5, 1, 1))):
        module = randomise(nn.BatchNorm2d(5))
        module.running_mean = exact(0.2 * normal(generator, 5))
        module.running_var = exact(1 + 0.2 * normal(generator, 5).abs())
        x = exact(1.5 + 2 * normal(generator, *shape))

        def after():
            module.eval()
            y = module(x).detach()
            return {
                "after.running_mean": module.running_mean.clone(),
                "after.running_var": module.running_var.clone(),
                "evaluation": nhwc(y),
            }

        add(name, "norm", {"epsilon": module.eps, "momentum": 1 - module.momentum}, x, module, after)


def pools():
    for size, shape in (("even", EVEN), ("odd", ODD)):
        # Mostly negative: padding with zeros instead of minus infinity would show.
        x = normal(generator, 2, 3, *shape) - 2
        settings = {"kernel": 3, "stride": 2, "padding": 1}
        add(f"max-pool-3-{size}", "max-pool", settings, x, nn.MaxPool2d(3, 2, 1))
    x = normal(generator, 2, 3, *EVEN)
    add("max-pool-2", "max-pool", {"kernel": 2, "stride": 2, "padding": 0}, x, nn.MaxPool2d(2))
    add("global-average-pool", "global-average-pool", {}, normal(generator, 2, 3, *ODD), lambda x: x.mean((2, 3)))
    add("global-max-pool", "global-max-pool", {}, normal(generator, 2, 3, *ODD), lambda x: x.amax((2, 3)))


def resizes():
    for name, shape, size in (("up", (4, 6), (9, 11)), ("up-four", (7, 7), (28, 28)), ("down", (9, 8), (5, 3))):
        x = normal(generator, 2, 2, *shape)

        def resize(x):
            return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=False)

        add(f"resize-{name}", "resize", {"size": list(size)}, x, resize)


def rest():
    add("linear", "linear", {}, normal(generator, 5, 7), randomise(nn.Linear(7, 4)))
    se = SqueezeExcite(32)
    for child in (se.fc1, se.fc2):
        randomise(child)
    add("squeeze-excite", "squeeze-excite", {"reduction": 16}, normal(generator, 3, 32, 4, 5), se)
    wide = torch.tensor([-100.0, -20.0, -5.0, -1.278, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0, 20.0, 100.0])
    add("silu", "silu", {}, wide, F.silu)
    # At exactly zero PyTorch's gradient is zero, and so is TensorFlow's.
    add("relu", "relu", {}, wide, F.relu)


def main():
    convolutions()
    norms()
    pools()
    resizes()
    rest()
    write_tensors("layers.safetensors", tensors)
    write_json("layers.json", {"versions": versions(), "cases": cases})


if __name__ == "__main__":
    main()
