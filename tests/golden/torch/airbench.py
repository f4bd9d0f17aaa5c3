"""Logits of the airbench networks in evaluation mode, their states' names, and GELU with its gradient: airbench.json.

Weights and images come from the formula in formula.py.
"""

import torch

from common import versions, write_json
from formula import logits
from models import Airbench

CLASSES = 7


def gelu():
    x = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.gelu(x)
    y.sum().backward()
    return {"x": x.tolist(), "y": y.tolist(), "gradient": x.grad.tolist()}


def network(size):
    model = Airbench(size, CLASSES)
    state = {k: list(v.shape) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    counted = sum(v.numel() for v in model.parameters() if v.requires_grad)
    values = logits(model, 32, 1.0).tolist()
    return {"size": size, "parameters": counted, "state": state, "logits": values}


write_json("airbench.json", {
    "versions": versions(),
    "classes": CLASSES,
    "gelu": gelu(),
    "networks": [network(size) for size in Airbench.SIZES],
})
