"""Writes centres.json: torchvision's antialiased Resize of small images, and their centres.

    python centres.py        needs what generate.py needs
"""

import base64
import json
import pathlib
import sys
import types

import torch

# What generate.py says of torchvision beside a CPU build of torch.
SHAPES = "torchvision._meta_registrations"
sys.modules.setdefault(SHAPES, types.ModuleType(SHAPES))

import torchvision.transforms.v2.functional as F  # noqa: E402


def drawn(height, width):
    """Every value of it is a function of its place; resize.test.ts makes the same."""
    y, x, c = torch.meshgrid(torch.arange(height), torch.arange(width), torch.arange(3), indexing="ij")
    return ((x * (3 + c) + y * 5 + (x * y) // 7 + 90 * ((x // 9 + y // 6) % 2)) % 256).to(torch.uint8).permute(2, 0, 1)


cases = []
# Sizes that are rounded up and down, and margins that are odd.
for height, width, shorter, size in [(45, 61, 20, 20), (60, 45, 24, 21), (48, 64, 24, 21), (33, 90, 32, 28), (20, 31, 40, 40), (30, 30, 30, 24)]:
    scaled = [int(shorter * side / min(height, width) + 0.5) for side in (height, width)]
    top, left = [(side - shorter + 1) // 2 + int((shorter - size) / 2 + 0.5) for side in scaled]
    resized = F.resize(drawn(height, width), scaled, antialias=True)
    pixels = F.crop(resized, top, left, size, size).permute(1, 2, 0).contiguous().numpy().tobytes()
    encoded = base64.b64encode(pixels).decode()
    cases.append({"height": height, "width": width, "shorter": shorter, "size": size, "pixels": encoded})
pathlib.Path(__file__).with_name("centres.json").write_text(json.dumps(cases, indent=1) + "\n")
