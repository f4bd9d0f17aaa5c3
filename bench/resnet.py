"""PyTorch's ResNet-18 on CIFAR-100 within a budget of compute, as a peer of the presets `cifar100-fast` and wider.

    python bench/resnet.py --data cifar-100-binary.tar.gz --small 2 --full 1 --seeds 1

Full width, bfloat16 by autocast, SGD with Nesterov's momentum, one-cycle rate, label smoothing, shifted
and mirrored images: `--small` epochs of 24 px, then `--full` epochs of 32 px, on all 50,000 images. Prints a JSON line a seed: PFLOP (6 ×
multiply-adds × images), top-1 on the test images in one view and with mirrored views, seconds of training. Needs torch.
"""

import argparse
import json
import time

from cifar100 import evaluate, nn, read, torch, train
from torch_peer import use_threads

from models import resnet  # isort: skip

MULTIPLY_ADDS = 555_468_800  # of the convolutions and the head, for an image of 32 px


class Mirrored(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).softmax(1) + self.model(x.flip(3)).softmax(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--small", type=int, default=2)
    parser.add_argument("--full", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    use_threads(options.threads)
    (images, labels), (tests, wanted) = (read(options.data, split) for split in ("train", "test"))
    epochs = options.small + options.full
    flop = 6 * MULTIPLY_ADDS * len(images) * (options.small * (24 / 32) ** 2 + options.full)

    def logits_of(model, seen, epoch):
        if epoch < options.small:
            seen = nn.functional.interpolate(seen, (24, 24), mode="bilinear", antialias=True)
        with torch.autocast("cpu", torch.bfloat16):
            return model(seen.contiguous(memory_format=torch.channels_last)).float()

    for seed in options.seeds:
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        model = resnet(18, 100, 64).to(memory_format=torch.channels_last)
        start = time.monotonic()
        train(model, images, labels, epochs, options.rate, generator, logits_of)
        seconds = time.monotonic() - start
        line = {
            "seed": seed,
            "pflop": round(flop / 1e15, 3),
            "top1": evaluate(model, tests, wanted),
            "mirrored": evaluate(Mirrored(model), tests, wanted),
            "seconds": round(seconds),
            "imagesPerSecond": round(epochs * len(images) / seconds),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
