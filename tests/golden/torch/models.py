"""The networks whose names, shapes and numbers are golden, at any width.

ResNet follows torchvision's names (squeeze-and-excitation: timm's), Wide ResNet those of the widely used PyTorch
port (`block1.layer.0.convShortcut`), ResNet-9 those of the DAWNBench entry (`layer1.residual.res1.conv`).
"""

import torch
from torch import nn


def conv(c_in, c_out, size, stride=1):
    return nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=False)


class SqueezeExcite(nn.Module):
    """1x1 convolutions with bias around a ReLU, then a sigmoid gate. The middle has C/16 channels, while timm
    rounds that to a multiple of 8."""

    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x):
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Basic(nn.Module):
    expansion = 1

    def __init__(self, c_in, planes, stride, se):
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3), nn.BatchNorm2d(planes)
        finish(self, c_in, planes, stride, se)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (self.se(y) + self.downsample(x)).relu()


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c_in, planes, stride, se):
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = conv(planes, 4 * planes, 1), nn.BatchNorm2d(4 * planes)
        finish(self, c_in, planes, stride, se)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (self.se(y) + self.downsample(x)).relu()


def finish(block, c_in, planes, stride, se):
    c_out = planes * block.expansion
    block.se = SqueezeExcite(c_out) if se else nn.Identity()
    straight = stride == 1 and c_in == c_out
    project = (conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))
    block.downsample = nn.Identity() if straight else nn.Sequential(*project)


class ResNet(nn.Module):
    def __init__(self, block, depths, classes, width=64, stem="cifar", se=False):
        super().__init__()
        cifar = stem == "cifar"
        self.conv1 = conv(3, width, 3) if cifar else conv(3, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if cifar else nn.MaxPool2d(3, 2, 1)
        c_in = width
        for stage, depth in enumerate(depths):
            planes, blocks = width << stage, []
            for i in range(depth):
                blocks.append(block(c_in, planes, 2 if stage > 0 and i == 0 else 1, se))
                c_in = planes * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


RESNETS = {
    18: (Basic, [2, 2, 2, 2]),
    34: (Basic, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
    101: (Bottleneck, [3, 4, 23, 3]),
}


def resnet(depth, classes, width=64, stem="cifar", se=False):
    return ResNet(*RESNETS[depth], classes, width, stem, se)


class PreActivation(nn.Module):
    """When the width changes, the shortcut too starts from the activated input."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, c_out, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(c_out), conv(c_out, c_out, 3)
        self.convShortcut = None if c_in == c_out else conv(c_in, c_out, 1, stride)

    def forward(self, x):
        active = self.bn1(x).relu()
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        return shortcut + self.conv2(self.bn2(self.conv1(active)).relu())


class Stage(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, factor, classes):
        super().__init__()
        blocks, widths = (depth - 4) // 6, [16, 16 * factor, 32 * factor, 64 * factor]
        self.conv1 = conv(3, 16, 3)
        for i in (1, 2, 3):
            first = PreActivation(widths[i - 1], widths[i], 1 if i == 1 else 2)
            rest = (PreActivation(widths[i], widths[i], 1) for _ in range(blocks - 1))
            setattr(self, f"block{i}", Stage(first, *rest))
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.bn1(x).relu().mean((2, 3)))


class ConvBn(nn.Module):
    def __init__(self, c_in, c_out, pool=1, residual=False):
        super().__init__()
        self.conv, self.bn, self.pool = conv(c_in, c_out, 3), nn.BatchNorm2d(c_out), nn.MaxPool2d(pool)
        self.residual = Residual(c_out) if residual else nn.Identity()

    def forward(self, x):
        return self.residual(self.pool(self.bn(self.conv(x)).relu()))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.res1, self.res2 = ConvBn(channels, channels), ConvBn(channels, channels)

    def forward(self, x):
        return x + self.res2(self.res1(x))


class ResNet9(nn.Module):
    """32x32 pictures; global max pooling; the classifier has no bias and its logits are scaled by 0.125."""

    def __init__(self, classes, width=64):
        super().__init__()
        self.prep = ConvBn(3, width)
        self.layer1 = ConvBn(width, 2 * width, 2, residual=True)
        self.layer2 = ConvBn(2 * width, 4 * width, 2)
        self.layer3 = ConvBn(4 * width, 8 * width, 2, residual=True)
        self.linear = nn.Linear(8 * width, classes, bias=False)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.prep(x))))
        return 0.125 * self.linear(torch.amax(x, (2, 3)))


def shifted_norm(channels, momentum):
    """Scale 1 that does not train."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=momentum)
    norm.weight.requires_grad = False
    return norm


class AirbenchGroup(nn.Module):
    """The pool comes before the norm; with three convolutions the last two are a residual branch."""

    def __init__(self, c_in, c_out, depth, momentum):
        super().__init__()
        self.pool, self.gelu = nn.MaxPool2d(2), nn.GELU()
        self.conv1, self.norm1 = conv(c_in, c_out, 3), shifted_norm(c_out, momentum)
        self.conv2, self.norm2 = conv(c_out, c_out, 3), shifted_norm(c_out, momentum)
        if depth == 3:
            self.conv3, self.norm3 = conv(c_out, c_out, 3), shifted_norm(c_out, momentum)

    def forward(self, x):
        first = self.gelu(self.norm1(self.pool(self.conv1(x))))
        second = self.norm2(self.conv2(first))
        if not hasattr(self, "conv3"):
            return self.gelu(second)
        return self.gelu(self.norm3(self.conv3(self.gelu(second))) + first)


class Airbench(nn.Module):
    """Jordan 2024, arXiv 2404.00498, for images of 32 px: 2x2 convolution, three groups, a head without bias."""

    SIZES = {94: ((64, 256, 256), 2), 95: ((128, 384, 384), 2), 96: ((128, 384, 512), 3)}

    def __init__(self, size, classes, momentum=0.4):
        super().__init__()
        (a, b, c), depth = self.SIZES[size]
        self.whiten = nn.Conv2d(3, 24, 2)
        self.group1 = AirbenchGroup(24, a, depth, momentum)
        self.group2 = AirbenchGroup(a, b, depth, momentum)
        self.group3 = AirbenchGroup(b, c, depth, momentum)
        self.linear = nn.Linear(c, classes, bias=False)

    def forward(self, x):
        x = nn.functional.gelu(self.whiten(x))
        x = self.group3(self.group2(self.group1(x)))
        return self.linear(x.amax((2, 3))) / 9
