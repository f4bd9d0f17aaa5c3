"""The preset `transfer` in PyTorch with timm, to run beside ours: the same network, images, rates, views and average.

    python bench/transfer.py --data photos --weights tf_efficientnet_lite0.safetensors --seeds 1 2 3 4 5 --threads 2
    trainer --preset transfer --data photos --weights tf_efficientnet_lite0.safetensors --seed N

The preset's backbone is frozen, so each view is one forward pass and the head alone learns. Prints one JSON line a seed, {"seed": 1, "top1": on the test folder, "seconds": of decoding and training}, and a last one with mean
and deviation. A tenth of the training images is left out, as our holdout does, and nothing is chosen on it here.

--arm frozen         the head alone, at 3e-3 (the preset)
--arm plain          every weight at 1e-3, norms train
--arm differential   1e-5 at the input to 1e-3 at the head, norms frozen (the preset with `backbone: "trains"`)
--arm gradual        the same, with one more stage unfrozen each epoch, from the head down
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

from torch_peer import torch, use_threads  # isort: skip

import timm
import torchvision.transforms.v2 as transforms
from PIL import Image
from safetensors.torch import load_file
from torch import nn

SIZE, CROP, BATCH, SMOOTHING, DECAY = 224, 0.875, 32, 0.1, 0.98
SPLITS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}


def read(folder, split, classes=None):
    """Images as PIL has them, labels, and the names of the classes."""
    root = next(p for name in SPLITS[split] for p in Path(folder).iterdir() if p.name.lower() == name)
    classes = classes or sorted(p.name for p in root.iterdir() if p.is_dir())
    files = [(f, label) for label, name in enumerate(classes) for f in sorted((root / name).rglob("*.*"))]
    images = [Image.open(f).convert("RGB") for f, _ in files]
    return images, torch.tensor([label for _, label in files]), classes


BICUBIC = transforms.InterpolationMode.BICUBIC


def random_view(least):
    """A random crop of at least that share of an image, mirrored or not."""
    crop = transforms.RandomResizedCrop(SIZE, scale=(least, 1), antialias=True)
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(), transforms.PILToTensor()])


def centre(size, crop):
    steps = [transforms.Resize(round(size / crop), BICUBIC), transforms.CenterCrop(size), transforms.PILToTensor()]
    return transforms.Compose(steps)


VIEW, CENTRE = random_view(0.35), centre(SIZE, CROP)


def batch_of(images, transform):
    return (torch.stack([transform(image) for image in images]).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def stage_of(name):
    """Of ten, from the input: stem, seven stages, last convolution, head."""
    if name.startswith(("conv_stem", "bn1")):
        return 0
    if name.startswith("blocks."):
        return 1 + int(name.split(".")[1])
    return 9 if name.startswith("classifier") else 8


def train(arm, seed, epochs, weights, data):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images, labels, classes = data["train"]
    model = timm.create_model("tf_efficientnet_lite0", num_classes=len(classes))
    state = {k: v for k, v in load_file(weights).items() if not k.startswith("classifier")}
    model.load_state_dict(state, strict=False)
    # As ours: timm's own first values of a head, up to 1/sqrt(classes), make logits of ±10 for two classes.
    model.classifier.reset_parameters()
    kept = torch.cat([
        rows[torch.randperm(len(rows), generator=generator)][round(len(rows) / 10) :]
        for rows in ((labels == label).nonzero().flatten() for label in range(len(classes)))
    ])

    frozen_norms, averages = arm != "plain", arm != "frozen"
    groups = []
    for name, parameter in model.named_parameters():
        stage, decays = stage_of(name), parameter.dim() > 1
        trains = stage == 9 or (arm != "frozen" and (decays or not frozen_norms))
        parameter.requires_grad = trains
        peak = {"frozen": 3e-3, "plain": 1e-3}.get(arm, 1e-5 * 100 ** (stage / 9))
        groups.append({"params": [parameter], "peak": peak, "stage": stage, "weight_decay": 0.01 * decays})
    optimizer = torch.optim.AdamW([g for g in groups if g["params"][0].requires_grad], lr=1e-3)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    steps, step = epochs * math.ceil(len(kept) / BATCH), 0
    for epoch in range(epochs):
        model.train()
        for module in model.modules():
            if frozen_norms and isinstance(module, nn.BatchNorm2d):
                module.eval()
        order = kept[torch.randperm(len(kept), generator=generator)]
        for batch in order.split(BATCH):
            for group in optimizer.param_groups:
                frozen = arm == "gradual" and group["stage"] < 9 - epoch
                rate = group["peak"] * (1 + math.cos(math.pi * step / steps)) / 2
                group["lr"] = 0.0 if frozen else rate
            logits = model(batch_of([images[i] for i in batch], VIEW))
            nn.functional.cross_entropy(logits, labels[batch], label_smoothing=SMOOTHING).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            decay = min(DECAY, step / (9 + step))
            with torch.no_grad():
                for key, value in model.state_dict().items() if averages else ():
                    if value.is_floating_point():
                        average[key].mul_(decay).add_(value, alpha=1 - decay)
    if averages:
        model.load_state_dict(average)
    model.eval()
    tests, wanted, _ = data["test"]
    with torch.no_grad():
        found = torch.cat([model(batch_of(tests[i : i + BATCH], CENTRE)).argmax(1) for i in range(0, len(tests), BATCH)])
    return 100 * (found == wanted).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--arm", choices=["frozen", "plain", "differential", "gradual"], default="frozen")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    use_threads(options.threads)
    found = []
    for seed in options.seeds:
        start = time.perf_counter()
        train_data = read(options.data, "train")
        data = {"train": train_data, "test": read(options.data, "test", train_data[2])}
        top1 = train(options.arm, seed, options.epochs, options.weights, data)
        found.append(top1)
        seconds = round(time.perf_counter() - start, 1)
        print(json.dumps({"seed": seed, "top1": round(top1, 2), "seconds": seconds}), flush=True)
    deviation = statistics.stdev(found) if len(found) > 1 else 0
    print(json.dumps({"arm": options.arm, "mean": round(statistics.mean(found), 2), "deviation": round(deviation, 2)}))


if __name__ == "__main__":
    main()
