"""Grad-CAM of a small network that ends in a global average pool and a linear layer: gradcam/.

There the map has a closed form, which the script checks: a channel's weight for a class is the linear layer's weight
over the number of pixels of the map.
"""

import torch
import torch.nn.functional as F
from torch import nn

from common import normal, versions, write_json, write_tensors

CLASSES = 4


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        self.activation = self.conv2(self.conv1(x).relu()).relu()
        return self.fc(self.activation.mean((2, 3)))


def build(generator):
    model = Small().double()
    for p in model.parameters():
        fan_in = p[0].numel() if p.dim() > 1 else 100
        p.data = (normal(generator, *p.shape) * (2 / fan_in) ** 0.5).float().double()
    # A class that every channel speaks against: its map has nothing positive and must come out as zeros.
    model.fc.weight.data[CLASSES - 1] = -model.fc.weight.data[CLASSES - 1].abs()
    return model


def normalise(maps):
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    return (maps - low) / (high - low + 1e-7)


def maps_of(model, logits):
    """[pictures, classes, height, width]"""
    found = []
    pixels = model.activation.shape[2] * model.activation.shape[3]
    for label in range(CLASSES):
        # A picture's logit depends on that picture alone, so one gradient serves the whole batch.
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), model.activation, retain_graph=True)
        weights = gradient.mean((2, 3), keepdim=True)
        closed_form = (model.fc.weight[label] / pixels)[None, :, None, None].expand_as(weights)
        torch.testing.assert_close(weights, closed_form, rtol=1e-12, atol=0)
        found.append((weights * model.activation).sum(1).relu())
    return torch.stack(found, 1).detach()


def main():
    generator = torch.Generator().manual_seed(6)
    model, images = build(generator), normal(generator, 2, 3, 12, 10)
    logits = model(images)
    maps = maps_of(model, logits)
    assert (maps[:, CLASSES - 1] == 0).all() and (maps[:, : CLASSES - 1].amax((2, 3)) > 0).all()
    normalised = normalise(maps)
    write_tensors("gradcam/gradcam.safetensors", {
        **{k: v for k, v in model.state_dict().items()},
        "images": images.permute(0, 2, 3, 1),
        "activation": model.activation.detach().permute(0, 2, 3, 1),
        "logits": logits.detach(),
        "maps": maps,
        "normalised": normalised,
        "upsampled": F.interpolate(normalised, images.shape[2:], mode="bilinear", align_corners=False),
    })
    write_json("gradcam/gradcam.json", {"versions": versions(), "emptyClass": CLASSES - 1, "epsilon": 1e-7})


if __name__ == "__main__":
    main()
