"""EfficientNet B0 to B7 (Tan & Le 2019, arXiv 1905.11946), from torchvision, with one logit.

Networks that come from TensorFlow (``efficientnet_pytorch``, timm's ``tf_`` variants) compute
something else with the same weights: their batch norms have another epsilon, and their strided
convolutions pad odd pixels at the bottom right. Both are parameters here, so that imported weights
give their own logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from space.models.cards import Padding
from space.models.member import Backbone

TRUNK_STAGES = 6  # stem and stages 1-5: stride 16; the rest is stride 32

BUILDERS = {f"efficientnet_b{i}": getattr(models, f"efficientnet_b{i}") for i in range(8)}


class SameConv2d(nn.Conv2d):
    """A strided convolution with TensorFlow's "SAME" padding, chosen by the size of its input.

    An odd number of pixels is added, one more at the end than at the start. Torch pads both sides alike, so there the
    kernel gets a first row and column of zeros: a padded copy of the images would take several times as long as the
    convolution itself.
    """

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, C', ceil(H / stride), ceil(W / stride))."""
        pads = [_same_pad(images.shape[axis], self.kernel_size[axis - 2], self.stride[axis - 2]) for axis in (2, 3)]
        more_h, more_w = (pad % 2 for pad in pads)
        kernel = functional.pad(self.weight, (more_w, 0, more_h, 0)) if more_h or more_w else self.weight
        sides = (pads[0] - pads[0] // 2, pads[1] - pads[1] // 2)
        return functional.conv2d(images, kernel, self.bias, self.stride, sides, groups=self.groups)


def _same_pad(size: int, kernel: int, stride: int) -> int:
    """Pixels to add on both sides together."""
    n_outputs = -(-size // stride)
    return max((n_outputs - 1) * stride + kernel - size, 0)


def build(
    architecture: str, *, dropout: float | None = None, bn_eps: float | None = None, padding: Padding = "symmetric"
) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: ``efficientnet_b0`` … ``efficientnet_b7``.
        dropout: before the logit; None: the paper's for this size.
        bn_eps: of every batch norm; None: torchvision's for this size (1e-5, from B5 on 1e-3).
        padding: of strided convolutions.
    """
    options = {} if dropout is None else {"dropout": dropout}
    net = BUILDERS[architecture](weights=None, num_classes=1, **options)
    if bn_eps is not None:
        _set_bn_eps(net, bn_eps)
    if padding == "same":
        pad_as_tensorflow(net)
    draw_head(net.classifier)
    stages = list(net.features)
    trunk, tail = nn.Sequential(*stages[:TRUNK_STAGES]), nn.Sequential(*stages[TRUNK_STAGES:])
    return Backbone(
        trunk=trunk,
        tail=tail,
        head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *net.classifier),
        trunk_channels=stages[TRUNK_STAGES - 1][-1].out_channels,
        tail_channels=net.classifier[-1].in_features,
    )


def draw_head(classifier: nn.Module) -> None:
    """Draw the last layer anew, as any linear layer begins.

    torchvision draws it in relation to the number of outputs; with one, logits begin at about 8, and a network
    spends its first tens of thousands of images on getting rid of them.
    """
    for module in classifier.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()


def _set_bn_eps(net: nn.Module, bn_eps: float) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = bn_eps


def pad_as_tensorflow(net: nn.Module) -> None:
    """Give strided convolutions TensorFlow's "SAME" padding, in place.

    Only strided convolutions differ: at stride 1 an odd kernel is padded evenly either way.
    """
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and max(child.stride) > 1:
                setattr(parent, name, _same_conv(child))


def _same_conv(conv: nn.Conv2d) -> SameConv2d:
    """The same convolution, with the same weight tensors, padded as TensorFlow does."""
    with torch.device("meta"):
        same = SameConv2d(
            conv.in_channels,
            conv.out_channels,
            kernel_size=(conv.kernel_size[0], conv.kernel_size[1]),
            stride=(conv.stride[0], conv.stride[1]),
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    same.weight, same.bias = conv.weight, conv.bias
    return same
