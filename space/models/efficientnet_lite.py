"""EfficientNet-Lite 0 to 4 (Google 2020, tensorflow/tpu, ``efficientnet/lite``) out of torchvision's blocks, one logit.

EfficientNet without squeeze-and-excitation, with ReLU6 for SiLU, a stem and a last stage that do not grow. All public
weights come from TensorFlow, so padding and epsilon are its own, always.
"""

from __future__ import annotations

import math
from functools import partial

from torch import nn
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig

from space.models.efficientnet import TRUNK_STAGES, draw_head, pad_as_tensorflow
from space.models.member import Backbone

STEM_CHANNELS, LAST_CHANNELS = 32, 1280
BN_EPS, BN_MOMENTUM = 1e-3, 0.01

SIZES = {  # name: width, depth, dropout before the logit
    "efficientnet_lite0": (1.0, 1.0, 0.2),
    "efficientnet_lite1": (1.0, 1.1, 0.2),
    "efficientnet_lite2": (1.1, 1.2, 0.3),
    "efficientnet_lite3": (1.2, 1.4, 0.3),
    "efficientnet_lite4": (1.4, 1.8, 0.3),
}
STAGES = (  # of B0: expansion, kernel, stride, channels in and out, blocks
    *((1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3)),
    *((6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1)),
)


def build(architecture: str, *, dropout: float | None = None) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: ``efficientnet_lite0`` … ``efficientnet_lite4``.
        dropout: before the logit; None: as published for this size.
    """
    width, depth, published = SIZES[architecture]
    net = EfficientNet(
        [_stage(i, width, depth) for i in range(len(STAGES))],
        dropout=published if dropout is None else dropout,
        num_classes=1,
        norm_layer=partial(nn.BatchNorm2d, eps=BN_EPS, momentum=BN_MOMENTUM),
        last_channel=LAST_CHANNELS,
    )
    _use_relu6(net)
    pad_as_tensorflow(net)
    draw_head(net.classifier)
    stages = list(net.features)
    return Backbone(
        trunk=nn.Sequential(*stages[:TRUNK_STAGES]),
        tail=nn.Sequential(*stages[TRUNK_STAGES:]),
        head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *net.classifier),
        trunk_channels=stages[TRUNK_STAGES - 1][-1].out_channels,
        tail_channels=LAST_CHANNELS,
    )


def _stage(index: int, width: float, depth: float) -> MBConvConfig:
    expansion, kernel, stride, n_in, n_out, n_blocks = STAGES[index]
    is_end = index in (0, len(STAGES) - 1)
    return MBConvConfig(
        expansion,
        kernel,
        stride,
        STEM_CHANNELS if index == 0 else MBConvConfig.adjust_channels(n_in, width),
        MBConvConfig.adjust_channels(n_out, width),
        n_blocks if is_end else math.ceil(n_blocks * depth),
        block=partial(MBConv, se_layer=_no_squeeze),
    )


def _no_squeeze(*_args: object, **_options: object) -> nn.Module:
    return nn.Identity()


def _use_relu6(net: nn.Module) -> None:
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.SiLU):
                setattr(parent, name, nn.ReLU6(inplace=True))
