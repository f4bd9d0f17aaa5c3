"""Cross entropy with smoothed and mixed labels, values and gradients: losses.json."""

import torch
import torch.nn.functional as F
from torch import nn

from common import normal, timm, versions, write_json

CLASSES = 5
LABELS = torch.tensor([0, 3, 4, 1])
OTHERS = torch.tensor([2, 3, 0, 4])  # the second sample mixes a label with itself


def smoothed(labels, smoothing):
    return (1 - smoothing) * F.one_hot(labels, CLASSES).double() + smoothing / CLASSES


def describe(name, logits, smoothing=0.0, share=1.0):
    """`share` is what LABELS keep; the rest goes to OTHERS."""
    logits = logits.clone().requires_grad_()
    # Smoothing is affine: smoothing both labels once and mixing is the same as mixing and smoothing once.
    targets = share * smoothed(LABELS, smoothing) + (1 - share) * smoothed(OTHERS, smoothing)
    each = F.cross_entropy(logits, targets, reduction="none")
    loss = each.mean()
    (gradient,) = torch.autograd.grad(loss, logits)

    by_labels = nn.CrossEntropyLoss(label_smoothing=smoothing)
    mixed = share * by_labels(logits, LABELS) + (1 - share) * by_labels(logits, OTHERS)
    torch.testing.assert_close(loss, mixed, rtol=1e-13, atol=1e-13)
    by_timm = timm.loss.SoftTargetCrossEntropy()(logits, targets)
    torch.testing.assert_close(loss, by_timm, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gradient, (logits.softmax(1) - targets) / len(LABELS), rtol=1e-12, atol=1e-15)
    return {
        "name": name,
        "smoothing": smoothing,
        "share": share,
        "logits": logits.detach(),
        "targets": targets,
        "each": each.detach(),
        "loss": loss.item(),
        "gradient": gradient,
    }


def main():
    logits = 2 * normal(torch.Generator().manual_seed(3), len(LABELS), CLASSES)
    huge = logits.clone()
    huge[0, 0], huge[1, 3], huge[2, 0] = 1000.0, -1000.0, 500.0
    write_json("losses.json", {
        "versions": versions(),
        "classes": CLASSES,
        "labels": LABELS,
        "others": OTHERS,
        "cases": [
            describe("hard labels", logits),
            describe("smoothing .1", logits, 0.1),
            describe("smoothing .3", logits, 0.3),
            describe("mixed", logits, 0.0, 0.7),
            describe("mixed and smoothed", logits, 0.1, 0.7),
            describe("equal logits", torch.zeros_like(logits), 0.1),
            describe("huge logits", huge, 0.1),
        ],
    })


if __name__ == "__main__":
    main()
