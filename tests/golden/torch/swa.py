"""Averaged weights and recomputed norm statistics of PyTorch's swa_utils: swa.json.

A network of one 1x1 convolution, batch norm and mean. Three weights are averaged; update_bn runs over three batches.
"""

import torch
from torch.optim.swa_utils import AveragedModel, update_bn

from common import normal, versions, write_json

generator = torch.Generator().manual_seed(5)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1, bias=False), torch.nn.BatchNorm2d(4, momentum=0.3)).double()
weights = [normal(generator, 4, 3, 1, 1) for _ in range(3)]
images = torch.randint(0, 256, (10, 3, 2, 2), generator=generator)
normalised = (images.double() / 255 - 0.5) / 0.25

averaged = AveragedModel(net)
for weight in weights:
    net[0].weight.data = weight
    averaged.update_parameters(net)
update_bn([normalised[:4], normalised[4:8], normalised[8:]], averaged)
state = averaged.module.state_dict()
write_json("swa.json", {
    "versions": versions(),
    "weights": [w.permute(2, 3, 1, 0).flatten() for w in weights],
    "images": images.permute(0, 2, 3, 1).flatten(1),
    "average": state["0.weight"].permute(2, 3, 1, 0).flatten(),
    "mean": state["1.running_mean"],
    "variance": state["1.running_var"],
})
