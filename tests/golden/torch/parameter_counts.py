"""Parameters, multiply-adds, and the names and shapes of states: parameter-counts.json and states/.

Nothing is computed, so the networks live on the meta device. Known totals, and torchvision's and timm's own networks,
are checked first.
"""

import torch
from torch import nn

from common import timm, torchvision, versions, write_json
from models import ResNet9, WideResNet, resnet

# Published or counted elsewhere. (name, classes): parameters, multiply-adds in millions (None where not known).
KNOWN = {
    ("resnet18 imagenet", 100): (11_227_812, None),
    ("resnet18 cifar", 100): (11_220_132, 555),
    ("resnet34 imagenet", 100): (21_335_972, None),
    ("resnet50 imagenet", 1000): (25_557_032, 4087),
    ("resnet50 imagenet", 100): (23_712_932, None),
    ("resnet50 cifar", 100): (23_705_252, 1298),
    ("resnet18 cifar se", 100): (11_309_212, None),
    ("resnet50 imagenet se", 100): (26_243_924, None),
    ("resnet50 cifar se", 100): (26_236_244, None),
    ("wrn-16-4", 100): (2_772_020, 393),
    ("wrn-28-10", 100): (36_536_884, 5240),
    ("efficientnet-b0", 100): (4_135_648, None),
    ("mobilenet-v3-small", 1000): (2_542_856, None),
    ("mobilenet-v3-large", 1000): (5_483_032, None),
}


def shapes(model):
    """Without `num_batches_tracked`, the one scalar a norm keeps that no trainer reads."""
    return {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def multiply_adds(model, size):
    """Of convolutions and linear layers for one picture, without biases."""
    total = 0

    def count(module, _, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.shape[2] * output.shape[3] * module.weight.numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    handles = [m.register_forward_hook(count) for m in model.modules()]
    model.eval()(torch.empty(1, 3, size, size, device="meta"))
    for handle in handles:
        handle.remove()
    return total


def networks():
    """(name, classes, size of pictures, network)"""
    for classes in (100, 1000):
        for depth in (18, 34, 50, 101):
            for stem, size in (("imagenet", 224), ("cifar", 32)):
                yield f"resnet{depth} {stem}", classes, size, resnet(depth, classes, stem=stem)
                yield f"resnet{depth} {stem} se", classes, size, resnet(depth, classes, stem=stem, se=True)
    for classes in (10, 100):
        yield "wrn-16-4", classes, 32, WideResNet(16, 4, classes)
        yield "wrn-28-10", classes, 32, WideResNet(28, 10, classes)
        yield "resnet9", classes, 32, ResNet9(classes)
    for classes in (100, 1000):
        yield "efficientnet-b0", classes, 224, timm.create_model("efficientnet_b0", num_classes=classes)
        for kind in ("small", "large"):
            model = timm.create_model(f"mobilenetv3_{kind}_100", num_classes=classes)
            yield f"mobilenet-v3-{kind}", classes, 224, model


def check_names():
    """Ours are torchvision's ResNets, and timm's SE-ResNets where C/16 is a multiple of eight."""
    for depth in (18, 34, 50, 101):
        peer = getattr(torchvision.models, f"resnet{depth}")()
        assert shapes(resnet(depth, 1000, stem="imagenet")) == shapes(peer), depth
    for depth in (50, 101):
        peer = timm.create_model(f"seresnet{depth}", num_classes=100)
        assert shapes(resnet(depth, 100, stem="imagenet", se=True)) == shapes(peer), depth


def describe(name, classes, size, model):
    parameters = sum(p.numel() for p in model.parameters())
    operations = multiply_adds(model, size)
    known = KNOWN.get((name, classes))
    if known:
        assert parameters == known[0], (name, classes, parameters, known)
        assert known[1] is None or abs(operations / 1e6 - known[1]) < known[1] * 2e-3, (name, operations, known)
    family, *variant = name.split()
    return {
        "model": family,
        **({"stem": variant[0], "squeezeExcite": "se" in variant} if variant else {}),
        "classes": classes,
        "parameters": parameters,
        "decayed": sum(p.numel() for p in model.parameters() if p.dim() > 1),
        "size": size,
        "multiplyAdds": operations,
    }


def main():
    with torch.device("meta"):
        check_names()
        found = [describe(*network) for network in networks()]
        assert set(KNOWN) <= {network[:2] for network in networks()}
        rounded_to_eight = {
            f"seresnet{depth}": sum(
                p.numel() for p in timm.create_model(f"seresnet{depth}", num_classes=100).parameters()
            )
            for depth in (18, 34, 50, 101)
        }
        states = {
            "resnet18-cifar": resnet(18, 100),
            "resnet50-cifar": resnet(50, 100),
            "resnet18-cifar-se": resnet(18, 100, se=True),
            "wrn-16-4": WideResNet(16, 4, 100),
            "resnet9": ResNet9(100),
            "efficientnet-b0": timm.create_model("efficientnet_b0", num_classes=100),
            "mobilenet-v3-small": timm.create_model("mobilenetv3_small_100", num_classes=100),
            "mobilenet-v3-large": timm.create_model("mobilenetv3_large_100", num_classes=100),
        }
    write_json("parameter-counts.json", {
        "versions": versions(),
        "models": found,
        "timmSqueezeExcite": {"classes": 100, "parameters": rounded_to_eight},
    })
    for name, model in states.items():
        write_json(f"states/{name}.json", shapes(model))


if __name__ == "__main__":
    main()
