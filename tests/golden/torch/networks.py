"""Logits of whole networks in evaluation mode: networks.json.

Weights and images come from the formula in formula.py.
"""

from common import timm, versions, write_json
from formula import BATCH, logits
from models import ResNet9, WideResNet, resnet

CLASSES = 7


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
    for number, size in ((0, 64), (1, 48), (2, 40)):
        model = timm.create_model(f"tf_efficientnet_lite{number}", num_classes=CLASSES)
        yield f"efficientnet-lite{number}", {}, False, size, 1.0, model
    for kind, size, scale in (("small", 64, 1.0), ("large", 48, 1.0)):
        model = timm.create_model(f"mobilenetv3_{kind}_100", num_classes=CLASSES)
        yield f"mobilenet-v3-{kind}", {}, False, size, scale, model


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
