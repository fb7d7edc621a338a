"""What may stand around a backbone: a head of several layers in place of its one, and a gray input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from space.models.member import Backbone

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Difference(nn.Module):
    """Two outputs as one logit: a softmax over both is the sigmoid of their difference."""

    def forward(self, outputs: Tensor) -> Tensor:
        """(n, 2) genuine and forged -> (n, 1), positive = fake."""
        return outputs[:, 1:] - outputs[:, :1]


class Gray(nn.Module):
    """A picture's luma in all three channels, up to a constant: its input is normalised channel by channel."""

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) -> the same shape."""
        weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
        return (images * weights).sum(dim=1, keepdim=True).expand_as(images).contiguous()


def with_hidden_layers(backbone: Backbone, widths: Sequence[int], *, n_outputs: int, dropout: float) -> Backbone:
    """The backbone under a head of fully connected layers with ReLU between them.

    Args:
        widths: of the hidden layers.
        n_outputs: 1 logit, or 2 whose difference is the logit.
        dropout: before the last layer.
    """
    sizes = (backbone.tail_channels, *widths)
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    layers += [nn.Dropout(dropout), nn.Linear(sizes[-1], n_outputs)]
    if n_outputs == 2:
        layers.append(Difference())
    return replace(backbone, head=nn.Sequential(*layers))


def with_gray_input(backbone: Backbone) -> Backbone:
    """The backbone as it sees pictures without colour."""
    return replace(backbone, trunk=nn.Sequential(Gray(), backbone.trunk))
