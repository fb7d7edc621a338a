"""EfficientNet B0 to B7 (Tan & Le 2019, arXiv 1905.11946), from torchvision, with one logit."""

from __future__ import annotations

from torch import nn
from torchvision import models

from space.models.member import Backbone

TRUNK_STAGES = 6  # stem and stages 1-5: stride 16; the rest is stride 32

BUILDERS = {f"efficientnet_b{i}": getattr(models, f"efficientnet_b{i}") for i in range(8)}


def build(architecture: str, *, dropout: float | None = None) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: ``efficientnet_b0`` … ``efficientnet_b7``.
        dropout: before the logit; None: the paper's for this size.
    """
    options = {} if dropout is None else {"dropout": dropout}
    net = BUILDERS[architecture](weights=None, num_classes=1, **options)
    # torchvision draws the head from ±1/sqrt(classes): with one class that is ±1, logits of ±20 at the start
    nn.init.normal_(net.classifier[-1].weight, std=0.01)
    stages = list(net.features)
    trunk, tail = nn.Sequential(*stages[:TRUNK_STAGES]), nn.Sequential(*stages[TRUNK_STAGES:])
    return Backbone(
        trunk=trunk,
        tail=tail,
        head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *net.classifier),
        trunk_channels=stages[TRUNK_STAGES - 1][-1].out_channels,
        tail_channels=net.classifier[-1].in_features,
    )
