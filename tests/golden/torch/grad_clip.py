"""Clipping gradients by their common norm, as clip_grad_norm_ does: grad-clip.json."""

import torch

from common import normal, versions, write_json


def clip(gradients, limit):
    parameters = {k: torch.zeros_like(g, requires_grad=True) for k, g in gradients.items()}
    for name, p in parameters.items():
        p.grad = gradients[name].clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), limit)
    clipped = {k: p.grad for k, p in parameters.items()}
    scale = min(1.0, limit / (norm.item() + 1e-6))
    for name, g in gradients.items():
        torch.testing.assert_close(clipped[name], scale * g, rtol=1e-12, atol=0)
    return {"limit": limit, "norm": norm.item(), "clipped": clipped}


def main():
    generator = torch.Generator().manual_seed(5)
    gradients = {"conv.weight": normal(generator, 2, 3), "conv.bias": 3 * normal(generator, 4)}
    cases = []
    for name, scale, limit in (
        ("above the limit", 1.0, 1.0),
        ("below the limit", 1.0, 100.0),
        ("small gradients", 1e-6, 1e-6),  # where the 1e-6 beside the norm shows
        ("zero gradients", 0.0, 1.0),
    ):
        scaled = {k: (scale * g + 0.0).float().double() for k, g in gradients.items()}
        cases.append({"name": name, "gradients": scaled, **clip(scaled, limit)})
    write_json("grad-clip.json", {"versions": versions(), "cases": cases})


if __name__ == "__main__":
    main()
