"""torchvision's half of augmentation.ts: reads a task's name a line, answers pictures a second for each way.

Ways: version 1 and 2 of its functions, on uint8 tensors and on Pillow pictures; one that lacks a task is left
out.
"""

import itertools
import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

try:
    import torchvision
except RuntimeError:  # a CPU build of torch beside torchvision's CUDA build lacks two operators, not used here
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

import PIL
from PIL import Image
from torchvision import transforms as first
from torchvision.transforms import functional as first_functional
from torchvision.transforms import v2 as second
from torchvision.transforms.v2 import functional as second_functional

GRAY = [128, 128, 128]


def tasks(version, functional):
    """Task name -> function of one picture. `version`, `functional`: torchvision's modules, old or new."""
    nearest = {"interpolation": first.InterpolationMode.NEAREST}
    bilinear = {"interpolation": first.InterpolationMode.BILINEAR}
    matrix = {"angle": 11.0, "translate": [2, -1], "scale": 1.1, "shear": [5.0, 0.0]}
    slanted = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [14.9, 0.0], "center": [0, 0]}
    moved = {"angle": 0.0, "translate": [9, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    constant = torch.tensor([124, 7, 255], dtype=torch.uint8)[:, None, None]
    policy = version.AutoAugmentPolicy.CIFAR10
    return {
        "brightness": lambda image: functional.adjust_brightness(image, 1.4),
        "contrast": lambda image: functional.adjust_contrast(image, 1.4),
        "saturation": lambda image: functional.adjust_saturation(image, 1.4),
        "hue": lambda image: functional.adjust_hue(image, 0.08),
        "sharpness": lambda image: functional.adjust_sharpness(image, 1.4),
        "posterize": lambda image: functional.posterize(image, 5),
        "solarize": lambda image: functional.solarize(image, 113.0),
        "autocontrast": functional.autocontrast,
        "equalize": functional.equalize,
        "invert": functional.invert,
        "grayscale": lambda image: functional.rgb_to_grayscale(image, num_output_channels=3),
        "flip": functional.hflip,
        "pad 4 and crop": lambda image: functional.crop(functional.pad(image, [4, 4, 4, 4]), 1, 6, 32, 32),
        "erase": lambda image: functional.erase(image, 5, 7, 12, 10, constant),
        "translate": lambda image: functional.affine(image, **moved, **nearest, fill=GRAY),
        "shear, nearest": lambda image: functional.affine(image, **slanted, **nearest, fill=GRAY),
        "rotate, nearest": lambda image: functional.rotate(image, 11.0, **nearest, fill=GRAY),
        "affine, nearest": lambda image: functional.affine(image, **matrix, **nearest, fill=GRAY),
        "affine, bilinear": lambda image: functional.affine(image, **matrix, **bilinear, fill=GRAY),
        "random crop, flip": version.Compose(
            [version.RandomCrop(32, padding=4), version.RandomHorizontalFlip()]
        ),
        "random affine": version.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, **bilinear, fill=GRAY),
        "color jitter": version.ColorJitter(0.4, 0.4, 0.4, 0.1),
        "random erasing": version.RandomErasing(p=1.0, value=0),
        "AutoAugment": version.AutoAugment(policy, **nearest, fill=GRAY),
        "RandAugment": version.RandAugment(**nearest, fill=GRAY),
        "TrivialAugment": version.TrivialAugmentWide(**nearest, fill=GRAY),
    }


def rate(function, images, seconds):
    """Pictures a second of processor time; None where the function refuses these pictures."""
    try:
        for image in images[:8]:
            function(image)
    except Exception:
        return None
    count = 0
    pool = itertools.cycle(images)
    start = time.process_time()
    while (passed := time.process_time() - start) < seconds:
        for _ in range(16):
            function(next(pool))
        count += 16
    return count / passed


def main():
    seconds = float(sys.argv[1])
    torch.set_num_threads(1)
    noise = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    tensors = [torch.from_numpy(pixels).permute(2, 0, 1).contiguous() for pixels in noise]
    pillows = [Image.fromarray(pixels) for pixels in noise]
    ways = {
        "v1 tensor": (tasks(first, first_functional), tensors),
        "v1 Pillow": (tasks(first, first_functional), pillows),
        "v2 tensor": (tasks(second, second_functional), tensors),
        "v2 Pillow": (tasks(second, second_functional), pillows),
    }
    names = list(ways["v1 tensor"][0])
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    print(json.dumps({"versions": versions, "tasks": names}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        rates = {way: rate(functions[name], images, seconds) for way, (functions, images) in ways.items()}
        print(json.dumps({way: value for way, value in rates.items() if value}), flush=True)


main()
