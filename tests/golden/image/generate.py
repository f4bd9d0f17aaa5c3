"""Writes golden.json and golden.bin.gz: what torchvision makes of four small images.

    python generate.py        needs torch and torchvision; made with torch 2.13.0, torchvision 0.28.0 (CPU)

golden.json lists the images and the cases; golden.bin.gz holds their bytes, [height, width, 3] each: first
the images, then for every case its result on each image, in the order of the lists.
"""

import gzip
import json
import pathlib

import numpy as np
import torch

# A CPU build of torch beside torchvision's CUDA build lacks these operators, which nothing here uses;
# torchvision only wants to find them when it is imported.
try:
    import torchvision
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as F

HERE = pathlib.Path(__file__).parent
GRAY = [128, 128, 128]
COLORS = [124, 7, 255]


def test_images():
    """Noise of every value; a smooth ramp; hard-edged shapes; a dull image whose red is constant."""
    noise = np.random.default_rng(20).integers(0, 256, (16, 40, 3), dtype=np.uint8)
    y, x = np.mgrid[0:32, 0:32]
    ramp = np.stack([x * 8, y * 8 + 3, (x + y) * 4], -1)
    shapes = np.full((32, 32, 3), [30, 90, 200])
    shapes[(y - 12) ** 2 + (x - 10) ** 2 < 60] = [250, 60, 5]
    shapes[18:29, 17:30] = [255, 255, 255]
    shapes[(x + 2 * y) % 23 == 0] = [0, 0, 0]
    dull = np.stack([np.full_like(x, 77), 110 + (x * y) % 9, 118 + (x + 3 * y) % 5], -1)
    return {"noise": noise, "ramp": ramp, "shapes": shapes, "dull": dull}


def affine(image, parameters, sampling):
    return F.affine(
        image,
        angle=parameters.get("angle", 0.0),
        translate=parameters.get("translate", [0, 0]),
        scale=parameters.get("scale", 1.0),
        shear=parameters.get("shear", [0.0, 0.0]),
        center=parameters.get("center"),
        **sampling,
    )


def crop(image, box, fill):
    """torchvision's crop fills with black alone; with padding first it takes a colour."""
    padding = 64
    padded = F.pad(image, padding, fill=fill)
    return F.crop(padded, box["top"] + padding, box["left"] + padding, box["height"], box["width"])


def erase(image, box, value):
    value = torch.tensor(value, dtype=torch.uint8)
    height, width = box["height"], box["width"]
    value = value[:, None, None] if len(value) == 3 else value.reshape(height, width, 3).permute(2, 0, 1)
    return F.erase(image, box["top"], box["left"], height, width, value)


POLICY = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)


def apply_operation(image, operation, magnitude, sampling):
    magnitude = magnitude / 255 if operation == "Solarize" else magnitude
    return POLICY._apply_image_or_video_transform(
        image,
        operation,
        magnitude,
        interpolation=sampling.get("interpolation", "nearest"),
        fill={torch.Tensor: sampling.get("fill")},
    )


FUNCTIONS = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
    "sharpness": F.adjust_sharpness,
    "posterize": F.posterize,
    "solarize": F.solarize,
    "autocontrast": F.autocontrast,
    "equalize": F.equalize,
    "invert": F.invert,
    "grayscale": lambda image: F.rgb_to_grayscale(image, num_output_channels=3),
    "crop": crop,
    "flipHorizontal": F.horizontal_flip,
    "erase": erase,
    "affine": affine,
    "rotate": lambda image, angle, sampling: F.rotate(image, angle, **sampling),
    "applyOperation": apply_operation,
}


def cases():
    nearest = {"interpolation": "nearest", "fill": GRAY}
    bilinear = {"interpolation": "bilinear", "fill": COLORS}
    bare = {"interpolation": "bilinear"}
    for factor in (0.0, 0.37, 1.0, 1.63):
        for name in ("brightness", "contrast", "saturation", "sharpness"):
            yield name, [factor]
    for factor in (-0.5, -0.21, 0.0, 0.08, 0.5):
        yield "hue", [factor]
    for bits in (0, 1, 5, 8):
        yield "posterize", [bits]
    for threshold in (0.0, 85.0, 113.3, 255.0):
        yield "solarize", [threshold]
    for name in ("autocontrast", "equalize", "invert", "grayscale", "flipHorizontal"):
        yield name, []
    yield "crop", [{"top": -4, "left": 3, "height": 24, "width": 32}, [0, 0, 0]]
    yield "crop", [{"top": 2, "left": -2, "height": 32, "width": 12}, COLORS]
    yield "crop", [{"top": 5, "left": 6, "height": 9, "width": 8}, COLORS]
    yield "erase", [{"top": 3, "left": 7, "height": 10, "width": 5}, COLORS]
    yield "erase", [{"top": 0, "left": 1, "height": 4, "width": 5}, [(37 * i + 11) % 256 for i in range(60)]]
    for sampling in (nearest, bilinear, bare):
        yield "affine", [{"angle": 17.0, "translate": [2, -3], "scale": 1.1, "shear": [8.0, -5.0]}, sampling]
        yield "affine", [{"angle": -160.0, "scale": 0.6, "center": [5.0, 9.5]}, sampling]
    for sampling in (nearest, bilinear):
        yield "affine", [{"scale": 0.5}, sampling]
        yield "affine", [{"translate": [3, -5]}, sampling]
        yield "affine", [{}, sampling]
    for angle in (90.0, 180.0, -33.0):
        yield "rotate", [angle, nearest]
    yield "rotate", [12.5, bilinear]

    space = transforms.AutoAugment._AUGMENTATION_SPACE
    for operation, (magnitudes, signed) in space.items():
        if magnitudes(10, 32, 32) is None:
            continue
        for level, sign in ((2, 1), (9, 1), (6, -1)):
            if sign < 0 and not signed:
                sign = 1
            # The sizes differ, so a translation is meant in pixels of the square images.
            magnitude = sign * float(magnitudes(10, 32, 32)[level])
            yield "applyOperation", [operation, magnitude * 255 if operation == "Solarize" else magnitude, {}]
        if operation.startswith("Shear") or operation == "Rotate":
            yield "applyOperation", [operation, float(magnitudes(10, 32, 32)[7]), bilinear]


def tables():
    """Every magnitude of the three methods, without sign, for images of height 16 and width 40."""
    methods = {
        "autoAugment": (transforms.AutoAugment, 10),
        "randAugment": (transforms.RandAugment, 31),
        "trivialAugment": (transforms.TrivialAugmentWide, 31),
    }
    result = {}
    for name, (method, bins) in methods.items():
        space = method._AUGMENTATION_SPACE
        result[name] = {"bins": bins, "operations": {}}
        for operation, (magnitudes, signed) in space.items():
            values = magnitudes(bins, 16, 40)
            values = [0.0] * bins if values is None else [float(value) for value in values]
            if operation == "Solarize":
                values = [float(np.float32(255 * value)) for value in values]
            result[name]["operations"][operation] = {"signed": signed, "magnitudes": values}
    return result


def main():
    torch.set_num_threads(1)
    inputs = {
        name: torch.tensor(pixels.astype(np.uint8)).permute(2, 0, 1) for name, pixels in test_images().items()
    }
    blob = [image.permute(1, 2, 0).contiguous().numpy().tobytes() for image in inputs.values()]
    index = []
    for name, arguments in cases():
        outputs = [FUNCTIONS[name](image, *arguments) for image in inputs.values()]
        blob += [output.permute(1, 2, 0).contiguous().numpy().tobytes() for output in outputs]
        index.append({"function": name, "arguments": arguments})
    golden = {
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "images": [
            {"name": name, "height": image.shape[1], "width": image.shape[2]}
            for name, image in inputs.items()
        ],
        "policy": POLICY._get_policies(transforms.AutoAugmentPolicy.CIFAR10),
        "tables": tables(),
        "cases": index,
    }
    text = json.dumps(golden, separators=(",", ":"))
    (HERE / "golden.json").write_text(text.replace('{"function"', '\n{"function"'))
    # mtime 0: the same bytes each time.
    (HERE / "golden.bin.gz").write_bytes(gzip.compress(b"".join(blob), 9, mtime=0))


main()
