"""Writes photos.json: torchvision's random resized crop, antialiased scaling and Gaussian blur of one small image.

    python photos.py        needs what generate.py needs

The regions come from torchvision's own get_params with the uniform numbers that stand beside them.
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

import torchvision.transforms.v2 as transforms  # noqa: E402
import torchvision.transforms.v2.functional as F  # noqa: E402

HERE = pathlib.Path(__file__).parent

HEIGHT, WIDTH = 45, 61


def test_image():
    """Every value of it is a function of its place; photos.test.ts makes the same."""
    y, x, c = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), torch.arange(3), indexing="ij")
    return ((x * (3 + c) + y * 5 + (x * y) // 7 + 90 * ((x // 9 + y // 6) % 2)) % 256).to(torch.uint8)


def drawn(uniforms, size, scale, ratio):
    """get_params with these numbers in [0, 1) instead of torch's."""
    rest = iter(uniforms)
    uniform, randint = torch.Tensor.uniform_, torch.randint
    torch.Tensor.uniform_ = lambda self, low, high: self.fill_(low + (high - low) * next(rest))
    torch.randint = lambda low, high, size: torch.tensor([low + int((high - low) * next(rest))])
    try:
        found = transforms.RandomResizedCrop(8, scale, ratio).make_params([torch.empty(3, *size)])
    finally:
        torch.Tensor.uniform_, torch.randint = uniform, randint
    return {key: int(found[key]) for key in ("top", "left", "height", "width")}


def encoded(image):
    return base64.b64encode(image.permute(1, 2, 0).contiguous().numpy().tobytes()).decode()


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(7)
    draws = []
    for size in ((375, 500), (640, 427), (45, 61), (100, 1000), (1000, 90)):
        for scale, ratio in (((0.08, 1.0), (3 / 4, 4 / 3)), ((0.35, 1.0), (3 / 4, 4 / 3)), ((0.9, 1.0), (1.9, 2.0))):
            for _ in range(3):
                uniforms = torch.rand(24, generator=generator, dtype=torch.float64).tolist()
                uniforms = [round(value, 6) for value in uniforms]
                region = drawn(uniforms, size, scale, ratio)
                draws.append({"size": size, "scale": scale, "ratio": ratio, "uniforms": uniforms, "region": region})
    image = test_image().permute(2, 0, 1)
    crops = [
        {"region": dict(zip(("top", "left", "height", "width"), box)), "size": size,
         "pixels": encoded(F.resized_crop(image, *box, [size, size], antialias=True))}
        for box, size in (((0, 0, 45, 61), 16), ((3, 9, 40, 33), 16), ((20, 30, 9, 7), 16), ((5, 5, 24, 24), 24), ((0, 10, 45, 50), 31))
    ]
    blurs = [
        {"size": size, "sigma": sigma, "pixels": encoded(F.gaussian_blur(image, [size, size], [sigma, sigma]))}
        for size, sigma in ((3, 0.4), (5, 1.1), (9, 2.0))
    ]
    HERE.joinpath("photos.json").write_text(json.dumps({"draws": draws, "crops": crops, "blurs": blurs}) + "\n")
