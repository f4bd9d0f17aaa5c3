"""CIFAR-100 in PyTorch, as the benchmarks that train on it share it: reading, views, training at a one-cycle rate, and evaluation."""

import math
import tarfile

import numpy as np
from torch_peer import torch  # isort: skip

from torch import nn

MEAN, DEVIATION = [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]
BATCH, PAD = 128, 2


def read(archive, split):
    with tarfile.open(archive) as tar:
        raw = np.frombuffer(tar.extractfile(f"cifar-100-binary/{split}.bin").read(), np.uint8).reshape(-1, 3074)
    return torch.from_numpy(raw[:, 2:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(raw[:, 1].astype(np.int64))


def normal(images):
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))
    return ((images.float() / 255 - mean) / deviation).contiguous(memory_format=torch.channels_last)


def views(images, generator):
    """Crops of padded images, mirrored or not."""
    padded = nn.functional.pad(images, (PAD,) * 4)
    place = torch.randint(2 * PAD + 1, (len(images), 2), generator=generator)
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    cut = [p[:, y : y + 32, x : x + 32] for p, (y, x) in zip(padded, place.tolist())]
    return torch.stack([c.flip(2) if m else c for c, m in zip(cut, mirrored)])


def rate(step, steps, peak):
    """The plugin one-cycle with pctStart 0.2."""
    along = lambda start, end, share: end + (start - end) / 2 * (1 + math.cos(math.pi * share))  # noqa: E731
    first, top = peak / 25, 0.2 * steps - 1
    return along(first, peak, step / top) if step <= top else along(peak, first / 1e4, (step - top) / (steps - 1 - top))


def train(model, images, labels, epochs, peak, generator, logits_of=lambda model, seen, epoch: model(seen)):
    """SGD with Nesterov's momentum, decay on kernels alone, label smoothing. `logits_of` runs the model on normalised views."""
    kernels = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": kernels, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.SGD(groups, lr=peak, momentum=0.9, nesterov=True)
    steps, step = epochs * math.ceil(len(images) / BATCH), 0
    for epoch in range(epochs):
        model.train()
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps, peak)
            logits = logits_of(model, normal(views(images[batch], generator)), epoch)
            nn.functional.cross_entropy(logits, labels[batch], label_smoothing=0.1).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1


def evaluate(model, images, labels):
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(normal(part)).argmax(1) for part in images.split(500)])
    return round(100 * (found == labels).float().mean().item(), 2)
