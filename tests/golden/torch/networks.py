"""Logits of whole networks in evaluation mode: networks.json.

Weights and pictures come from a formula of their place, so that no file has to hold them: the n-th tensor of a state,
element i (flat, in PyTorch's layout), has u = fract(sin(12.9898 i + 78.233 n) * 43758.5453), n from 1, and pictures are
tensor 0 in NHWC. What u becomes is in `value` below. Computed in float64, values rounded to float32 first.
"""

import torch

from common import timm, versions, write_json
from models import ResNet9, WideResNet, resnet

CLASSES, BATCH = 7, 2


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


def networks():
    """(name, options, squeeze-and-excitation, size of pictures, scale of norms, network)

    The scale of norms keeps pictures visible in the logits, where blocks damp or blow up what they get."""
    for depth, width, stem, se, size, scale in (
        (18, 4, "cifar", False, 16, 1.0),
        (18, 16, "imagenet", True, 45, 1.2),
        (34, 4, "imagenet", False, 32, 1.0),
        (50, 4, "cifar", True, 16, 1.0),
        (50, 4, "imagenet", False, 64, 0.8),
        (101, 4, "cifar", False, 8, 0.7),
    ):
        model = resnet(depth, CLASSES, width=width, stem=stem, se=se)
        yield f"resnet{depth}", {"width": width, "stem": stem}, se, size, scale, model
    yield "wrn", {"depth": 10, "width": 2}, False, 16, 1.0, WideResNet(10, 2, CLASSES)
    yield "wrn", {"depth": 16, "width": 1}, False, 15, 1.0, WideResNet(16, 1, CLASSES)
    yield "resnet9", {"width": 4}, False, 16, 1.0, ResNet9(CLASSES, width=4)
    model = timm.create_model("efficientnet_b0", num_classes=CLASSES)
    yield "efficientnet-b0", {"stem": "imagenet"}, False, 64, 1.2, model


write_json("networks.json", {
    "versions": versions(),
    "classes": CLASSES,
    "batch": BATCH,
    "networks": [
        {
            "model": name, "options": options, "squeezeExcite": se, "size": size, "normScale": scale,
            "logits": logits(model, size, scale),
        }
        for name, options, se, size, scale, model in networks()
    ],
})
