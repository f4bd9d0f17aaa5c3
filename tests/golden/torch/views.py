"""Six views of an image as the fast CIFAR recipes take them, averaged over logits and over probabilities: views.json.

The network is one linear layer over all pixels, so that every pixel of every view counts.
"""

import torch
from torch.nn.functional import pad

from common import normal, versions, write_json

CLASSES, HEIGHT, WIDTH = 4, 5, 6


def views(x):
    """x [n, 3, height, width]: plain, its two shifts by one pixel, and the mirrors of all three, with their weights."""
    padded = pad(x, (1, 1, 1, 1), mode="reflect")
    up_left, down_right = padded[:, :, 2:, 2:], padded[:, :, :-2, :-2]
    some = [(x, 1 / 4), (up_left, 1 / 8), (down_right, 1 / 8)]
    return some + [(view.flip(-1), share) for view, share in some]


generator = torch.Generator().manual_seed(7)
images = normal(generator, 3, 3, HEIGHT, WIDTH)
weight = normal(generator, CLASSES, 3 * HEIGHT * WIDTH)
logits = [(view.flatten(1) @ weight.T / 4, share) for view, share in views(images)]
write_json("views.json", {
    "versions": versions(),
    "images": images.permute(0, 2, 3, 1),
    "weight": weight.reshape(CLASSES, 3, HEIGHT, WIDTH).permute(2, 3, 1, 0).flatten(0, 2),
    "logits": sum(share * each for each, share in logits).softmax(1),
    "probabilities": sum(share * each.softmax(1) for each, share in logits),
})
