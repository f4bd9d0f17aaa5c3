"""torchvision's half of data.ts: reads a task's name a line, answers images a second and processor time for each way.

Ways: version 1 of its transforms on Pillow images, version 2 on tensors (files are decoded by Pillow for both), each under a DataLoader without workers and
with two.
"""

import json
import resource
import sys
import time

import types

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

# torchvision's usual wheel is built for CUDA; beside a CPU torch its operators, which nothing here uses, do not load.
SHAPES = "torchvision._meta_registrations"
sys.modules.setdefault(SHAPES, types.ModuleType(SHAPES))

from torchvision import datasets
from torchvision import transforms as first
from torchvision.transforms import v2 as second

FOLDER, COUNT = sys.argv[1], int(sys.argv[2])
BATCH = 128
PIXELS = np.random.default_rng(1).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
STATISTICS = ([0.5] * 3, [0.25] * 3)


class Memory(Dataset):
    """Images in memory, as torchvision's CIFAR100 hands them out, or as tensors."""

    def __init__(self, transform, tensors):
        self.transform, self.tensors = transform, tensors
        self.pixels = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous() if tensors else PIXELS

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        image = self.pixels[index]
        return self.transform(image if self.tensors else Image.fromarray(image)), index % 2


def dataset(task, tensors):
    version = second if tensors else first
    steps = [second.PILToTensor()] if tensors and "JPEG" in task else []
    if "JPEG" in task:
        steps += [version.Resize(224), version.CenterCrop(224), version.RandomCrop(224, padding=4), version.RandomHorizontalFlip()]
    elif "crop" in task:
        steps += [version.RandomCrop(32, padding=4), version.RandomHorizontalFlip()]
    if "AutoAugment" in task:
        steps += [version.AutoAugment(version.AutoAugmentPolicy.CIFAR10)]
    steps += [second.ToDtype(torch.float32, scale=True)] if tensors else [first.ToTensor()]
    transform = version.Compose([*steps, version.Normalize(*STATISTICS)])
    if "JPEG" in task:
        return datasets.ImageFolder(FOLDER, transform)
    return Memory(transform, tensors)


def processor():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(task, tensors, workers):
    loader = DataLoader(dataset(task, tensors), batch_size=BATCH, shuffle=True, num_workers=workers)
    since, before, count = time.perf_counter(), processor(), 0
    for images, _ in loader:
        count += len(images)
    seconds = time.perf_counter() - since
    del loader  # workers are waited for, and counted
    return {"imagesPerSecond": count / seconds, "milliseconds": 1000 * (processor() - before) / count * BATCH}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        ways = {
            f"{'tensors' if tensors else 'Pillow'}, {workers or 'no'} workers": measure(line.strip(), tensors, workers)
            for tensors in (False, True)
            for workers in (0, 2)
        }
        print(json.dumps(ways), flush=True)
