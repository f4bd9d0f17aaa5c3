"""CutMix's box and share of labels for given draws, and one mixed batch: cutmix.json."""

import math
from unittest import mock

import torch

from common import torchvision, versions, write_json

SIZES = ((32, 32), (224, 224), (9, 9), (5, 12))
SHARES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.75, 0.9, 0.99, 1.0)


def box(height, width, share, x, y):
    """The paper's rule: sides of int(S * sqrt(1 - share)), half of it to each side of the centre, clipped."""
    cut = math.sqrt(1 - share)
    half_width, half_height = int(width * cut) // 2, int(height * cut) // 2
    left, right = max(x - half_width, 0), min(x + half_width, width)
    top, bottom = max(y - half_height, 0), min(y + half_height, height)
    return [left, top, right, bottom], 1 - (right - left) * (bottom - top) / (width * height)


class Fixed:
    """Stands for the beta distribution, and draws what it is told."""

    def __init__(self, share):
        self.share = share

    def sample(self, _):
        return torch.tensor(self.share, dtype=torch.float64)


def torchvision_cutmix(share, x, y, images, labels, classes):
    transform = torchvision.transforms.v2.CutMix(num_classes=classes)
    transform._dist = Fixed(share)
    draws = iter([torch.tensor([x]), torch.tensor([y])])
    with mock.patch("torch.randint", lambda *_, **__: next(draws)):
        params = transform.make_params([images])
        draws = iter([torch.tensor([x]), torch.tensor([y])])
        return params, transform(images, labels)


def boxes():
    for height, width in SIZES:
        for share in SHARES:
            for x, y in ((0, 0), (width // 2, height // 2), (width - 1, 1), (width // 3, height - 1)):
                found, kept = box(height, width, share, x, y)
                images, labels = torch.zeros(2, 1, height, width), torch.tensor([0, 1])
                params, _ = torchvision_cutmix(share, x, y, images, labels, 2)
                assert list(params["box"]) == found and params["lam_adjusted"] == kept, (height, width, share, x, y)
                yield [height, width, share, x, y, *found, kept]


def mixed_batch():
    """Row i is pasted over by row i - 1, the first by the last."""
    height, width, share, x, y = 5, 6, 0.6, 4, 1
    images = torch.arange(3 * height * width, dtype=torch.float32).reshape(3, 1, height, width)
    labels = torch.tensor([2, 0, 3])
    params, (mixed, targets) = torchvision_cutmix(share, x, y, images, labels, 4)
    return {
        "share": share,
        "centre": [x, y],
        "box": list(params["box"]),
        "kept": params["lam_adjusted"],
        "partners": [2, 0, 1],
        "labels": labels,
        "images": images.permute(0, 2, 3, 1),
        "mixed": mixed.permute(0, 2, 3, 1),
        "targets": targets,
    }


def main():
    columns = ["height", "width", "share", "x", "y", "left", "top", "right", "bottom", "kept"]
    write_json("cutmix.json", {
        "versions": versions(),
        "columns": columns,
        "boxes": list(boxes()),
        "batch": mixed_batch(),
    })


if __name__ == "__main__":
    main()
