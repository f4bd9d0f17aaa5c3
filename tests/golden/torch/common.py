"""What every generator here shares: importing timm without torchvision's operators, and writing files that do
not change unless a number does."""

import json
import sys
import types
from pathlib import Path

import torch
from safetensors.torch import save_file

# torchvision's usual wheel is built for CUDA; beside a CPU torch its operators do not load, and the registration
# of their shapes fails on import. Models and transforms need neither.
SHAPES = "torchvision._meta_registrations"
sys.modules.setdefault(SHAPES, types.ModuleType(SHAPES))

import timm.loss  # noqa: E402
import torchvision.transforms.v2  # noqa: E402

HERE = Path(__file__).parent

# One thread and deterministic kernels: the files must come out the same on every machine with these versions.
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
# torch 2.13 corrupts the heap in oneDNN's gradient of a channels-last 1x1 convolution of stride 2 with 4
# channels.
torch.backends.mkldnn.enabled = False


def versions():
    return {m.__name__: m.__version__ for m in (torch, torchvision, timm)}


def plain(value):
    """Tensors to nested lists. A float32 comes out as the float64 that equals it."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def layout(value, indent=0):
    """JSON with what fits on one line on one line, and long lists of numbers too."""
    line = json.dumps(value, allow_nan=False)
    items = list(value.values() if isinstance(value, dict) else value) if isinstance(value, (dict, list)) else []
    flat = not any(isinstance(v, (dict, list)) for v in items)
    if not items or (isinstance(value, list) and flat) or (indent > 0 and len(line) <= 160):
        return line
    keys = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(items)
    margin = "  " * (indent + 1)
    lines = ",\n".join(margin + key + layout(v, indent + 1) for key, v in zip(keys, items))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{lines}\n{'  ' * indent}{closing}"


def write_json(path, value):
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(layout(plain(value)) + "\n")
    print(f"{path}: {target.stat().st_size} bytes")


def write_tensors(path, tensors, dtype=torch.float32):
    """Floating-point tensors are rounded to `dtype`; integers become int32, which TensorFlow.js can hold."""
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    save_file(
        {k: v.to(dtype if v.is_floating_point() else torch.int32).contiguous() for k, v in tensors.items()},
        target,
    )
    print(f"{path}: {target.stat().st_size} bytes")


def relative(a, b):
    """Euclidean distance of two tensors over the length of the second."""
    a, b = a.double(), b.double()
    return ((a - b).norm() / b.norm().clamp_min(1e-30)).item()


def normal(generator, *shape):
    """float32 values, so that both sides start from the same bits, held as float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float32).double()
