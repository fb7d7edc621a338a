"""VGG-19 (arXiv 1409.1556), DenseNet-121 (arXiv 1608.06993) and Inception v3 (arXiv 1512.00567), from torchvision.

Their trunks and tails hold torchvision's weights; heads are pooling and one logit. Inception's convolutions without
padding are padded here, so that its cells lie at strides 16 and 32 as those of the other members do.
"""

from __future__ import annotations

from torch import nn
from torchvision import models

from space.models.member import Backbone

VGG_POOLS = 4  # in the trunk: stride 16
DENSE_TAIL = "transition3"
ODD_PIXEL = (0, 1, 0, 1)  # right and below, as TensorFlow pads for a stride of 2


def build(architecture: str, *, dropout: float | None = None) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: a key of ``BUILDERS``.
        dropout: before the logit; None: 0.5 (VGG, Inception) or none (DenseNet), as published.
    """
    trunk, tail, channels, published = BUILDERS[architecture](architecture)
    p = published if dropout is None else dropout
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(p), nn.Linear(channels[1], 1))
    return Backbone(trunk=trunk, tail=tail, head=head, trunk_channels=channels[0], tail_channels=channels[1])


Cut = tuple[nn.Module, nn.Module, tuple[int, int], float]  # trunk, tail, their channels, dropout


def _cut_vgg(architecture: str) -> Cut:
    layers = list(getattr(models, architecture)(weights=None).features)
    pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    end = pools[VGG_POOLS - 1] + 1
    return nn.Sequential(*layers[:end]), nn.Sequential(*layers[end:]), (512, 512), 0.5


def _cut_densenet(architecture: str) -> Cut:
    net = getattr(models, architecture)(weights=None)
    names = [name for name, _ in net.features.named_children()]
    layers = list(net.features)
    end = names.index(DENSE_TAIL)
    channels = net.classifier.in_features
    return nn.Sequential(*layers[:end]), nn.Sequential(*layers[end:], nn.ReLU()), (channels, channels), 0.0


def _cut_inception(architecture: str) -> Cut:
    net = getattr(models, architecture)(weights=None, aux_logits=False, init_weights=False)
    for narrow in (net.Conv2d_2a_3x3, net.Conv2d_4a_3x3):
        narrow.conv.padding = (1, 1)
    halving = (net.Conv2d_1a_3x3, net.maxpool1, net.maxpool2, net.Mixed_6a, net.Mixed_7a)
    first, pool1, pool2, mixed6, mixed7 = (nn.Sequential(nn.ZeroPad2d(ODD_PIXEL), layer) for layer in halving)
    stem = (first, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, pool1, net.Conv2d_3b_1x1, net.Conv2d_4a_3x3, pool2)
    middle = (net.Mixed_5b, net.Mixed_5c, net.Mixed_5d, mixed6, net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e)
    return nn.Sequential(*stem, *middle), nn.Sequential(mixed7, net.Mixed_7b, net.Mixed_7c), (768, 2048), 0.5


BUILDERS = {
    "vgg19": _cut_vgg,
    "vgg19_bn": _cut_vgg,
    "densenet121": _cut_densenet,
    "inception_v3": _cut_inception,
}
