"""torch.ao's fake quantization with its straight-through gradient, its moving ranges, and a convolution with a norm that
trains through both: fake-quantize.json."""

import torch
import torch.ao.nn.intrinsic.qat as qat
from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver, QConfig
from torch.ao.quantization.observer import PerChannelMinMaxObserver

from common import normal, versions, write_json

torch.set_default_dtype(torch.float32)
generator = torch.Generator().manual_seed(11)


def numbers(*shape):
    return normal(generator, *shape).float()


def per_tensor(name, x, low, high):
    """Range and zero point by the observer's own rule, as it sees the ends."""
    observer = MovingAverageMinMaxObserver(dtype=torch.quint8, averaging_constant=1.0)
    observer(torch.tensor([low, high]))
    scale, zero = observer.calculate_qparams()
    x = x.clone().requires_grad_()
    gradient = numbers(*x.shape)
    y = torch.fake_quantize_per_tensor_affine(x, scale.item(), int(zero.item()), 0, 255)
    y.backward(gradient)
    return {"name": name, "x": x.detach(), "low": low, "high": high, "scale": scale.item(), "zero": int(zero.item()),
            "y": y.detach(), "dy": gradient, "dx": x.grad}


def weight_quantizer():
    return FakeQuantize.with_args(observer=PerChannelMinMaxObserver, quant_min=-127, quant_max=127, dtype=torch.qint8,
                                  qscheme=torch.per_channel_symmetric, ch_axis=0)


def per_channel(weight):
    quantizer = weight_quantizer()()
    return {"weight": weight, "y": quantizer(weight).detach()}


def moving(batches):
    observer = MovingAverageMinMaxObserver(averaging_constant=0.01)
    ranges = []
    for x in batches:
        observer(x)
        ranges.append([min(observer.min_val.item(), 0.0), max(observer.max_val.item(), 0.0)])
    return {"batches": batches, "ranges": ranges}


def convolution(frozen):
    """A convolution, norm and rounding of the weights with the norm in them: torch.ao's ConvBn2d in training."""
    config = QConfig(activation=torch.nn.Identity, weight=weight_quantizer())
    layer = qat.ConvBn2d(3, 4, 3, padding=1, bias=False, eps=1e-5, momentum=0.1, qconfig=config)
    with torch.no_grad():
        layer.weight.copy_(numbers(4, 3, 3, 3))
        layer.bn.weight.copy_(numbers(4))
        layer.bn.bias.copy_(numbers(4))
        layer.bn.running_mean.copy_(numbers(4))
        layer.bn.running_var.copy_(numbers(4).abs() + 0.5)
    before = {name: value.clone() for name, value in layer.state_dict().items() if "fake_quant" not in name}
    layer.train()
    if frozen:
        layer.freeze_bn_stats()
    x, gradient = numbers(2, 3, 4, 4), numbers(2, 4, 4, 4)
    y = layer(x)
    y.backward(gradient)
    return {
        "frozen": frozen, "x": x, "dy": gradient, "y": y.detach(),
        "weight": before["weight"], "scale": before["bn.weight"], "shift": before["bn.bias"],
        "mean": before["bn.running_mean"], "variance": before["bn.running_var"],
        "nextMean": layer.bn.running_mean, "nextVariance": layer.bn.running_var,
        "dWeight": layer.weight.grad, "dScale": layer.bn.weight.grad, "dShift": layer.bn.bias.grad,
    }


write_json("fake-quantize.json", {
    "versions": versions(),
    "tensors": [
        per_tensor("both signs", numbers(40) * 2, -1.5, 2.5),
        per_tensor("behind a ReLU", numbers(40).relu() * 2, 0.0, 2.5),
        per_tensor("narrow", numbers(40), -0.1, 0.05),
    ],
    "channels": [per_channel(numbers(3, 2, 2, 2)), per_channel(numbers(4, 5))],
    "moving": moving([numbers(6) * size for size in (1, 3, 2, 5)]),
    "convolutions": [convolution(False), convolution(True)],
})
