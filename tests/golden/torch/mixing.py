"""timm's Mixup for given draws, and PyTorch's weighted cross entropy: mixing.json."""

from unittest import mock

import torch
import torch.nn.functional as F

from common import versions, write_json

from timm.data.mixup import Mixup  # isort: skip, common.py makes timm importable

CLASSES = 3
LABELS = torch.tensor([0, 2, 1, 0])
HEIGHT, WIDTH = 6, 8


def images():
    """Value at (row, y, x, channel), [batch, 3, height, width] for timm."""
    n, c, y, x = torch.meshgrid(torch.arange(4), torch.arange(3), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (n * 100 + y * 10 + x + c * 0.25).double()


def mixed(share, centre):
    rand = iter([0.0, 0.0 if centre else 1.0])
    place = iter(centre or [])
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.0, num_classes=CLASSES)
    with (
        mock.patch("numpy.random.rand", lambda: next(rand)),
        mock.patch("numpy.random.beta", lambda a, b: share),
        mock.patch("numpy.random.randint", lambda low, high, size=None: next(place)),
    ):
        pixels, targets = mixup(images(), LABELS)
    return {"share": share, "centre": centre, "images": pixels.permute(0, 2, 3, 1).flatten(), "targets": targets}


def weighted(weights, smoothing):
    logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [0.0, 0.75, 1.0], [-2.0, 1.0, 0.5]], dtype=torch.float64)
    logits.requires_grad_()
    loss = F.cross_entropy(logits, LABELS, torch.tensor(weights, dtype=torch.float64), label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss, logits)
    return {"weights": weights, "smoothing": smoothing, "logits": logits.detach(), "loss": loss.item(), "gradient": gradient}


if __name__ == "__main__":
    write_json(
        "mixing.json",
        {
            "versions": versions(),
            "labels": LABELS,
            "mixed": [mixed(0.3, None), mixed(0.75, [2, 5]), mixed(0.2, [0, 7]), mixed(0.9, [5, 1])],
            "weighted": [weighted(w, s) for w in ([1.0, 2.0, 0.5], [0.2, 3.0, 1.7]) for s in (0.0, 0.1)],
        },
    )
