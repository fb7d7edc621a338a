"""ResNet 18 (He et al. 2015, arXiv 1512.03385) and ResNeXt 50 and 101 (Xie et al. 2017, arXiv 1611.05431).

From torchvision, with one logit.
"""

from __future__ import annotations

from torch import nn
from torchvision import models

from space.models.member import Backbone

BUILDERS = {
    "resnet18": models.resnet18,
    "resnext50_32x4d": models.resnext50_32x4d,
    "resnext101_32x8d": models.resnext101_32x8d,
    "resnext101_64x4d": models.resnext101_64x4d,
}


def build(architecture: str, *, dropout: float | None = None) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: a key of ``BUILDERS``.
        dropout: before the logit; None or 0: none, as published.
    """
    net = BUILDERS[architecture](weights=None, num_classes=1)
    trunk = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)
    return Backbone(
        trunk=trunk,
        tail=net.layer4,
        head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout or 0.0), net.fc),
        trunk_channels=net.fc.in_features // 2,
        tail_channels=net.fc.in_features,
    )
