"""A frame member: one network with one logit, split where the heat maps look.

``trunk`` ends at the penultimate block (stride 16: 14x14 cells for a 224 px input), ``tail`` at the
last block (stride 32: 7x7), ``head`` pools and gives the logit. The heat maps need a gradient
through ``tail`` and ``head`` only, which is why the network is cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from space.models.cards import DetailReference

TRUNK_IMAGES = 4  # at a time, on a processor


@dataclass(frozen=True)
class Backbone:
    """An ImageNet-style network cut in three."""

    trunk: nn.Module  # (n, 3, S, S) -> (n, C1, S/16, S/16)
    tail: nn.Module  # -> (n, C2, S/32, S/32)
    head: nn.Module  # -> (n, 1)
    trunk_channels: int
    tail_channels: int


class FrameMember(nn.Module):
    """Scores face crops one by one.

    Args:
        backbone: the network's three pieces.
        region_head: also carry a 1x1 convolution that predicts the manipulated region on the
            penultimate block (trained beside the logit; not needed for scoring).
        reference: what the logit is held against; None: nothing.
    """

    def __init__(
        self, backbone: Backbone, *, region_head: bool = False, reference: DetailReference | None = None
    ) -> None:
        super().__init__()
        self.reference: DetailReference | None = reference
        self.trunk = backbone.trunk
        self.tail = backbone.tail
        self.head = backbone.head
        self.region = nn.Conv2d(backbone.trunk_channels, 1, kernel_size=1) if region_head else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images.

        Args:
            images: (n, 3, S, S) float, normalised with the card's mean and std.

        Returns:
            (n,) logits, positive = fake.
        """
        logits = self._score(images)
        if self.reference is None:
            return logits
        return logits - self.reference.share * self._score(drop_detail(images, self.reference.detail_px))

    def _score(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.tail(see_trunk(self.trunk, images))).flatten()
        return logits

    def forward_with_region(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n,), held against nothing, and the manipulated region's logits (n, S/16, S/16).

        Raises:
            ValueError: the member was built without a region head.
        """
        if self.region is None:
            raise ValueError("this member has no region head")
        penultimate = self.trunk(images)
        region: Tensor = self.region(penultimate)[:, 0]
        logits: Tensor = self.head(self.tail(penultimate)).flatten()
        return logits, region


def see_trunk(trunk: nn.Module, images: Tensor) -> Tensor:
    """What the trunk makes of images (n, 3, S, S).

    A processor gets a few at a time: the wide layers of more would leave its cache, and the allocator's pools. In
    training a batch stays whole, for its norms.
    """
    if trunk.training or images.device.type != "cpu" or len(images) <= TRUNK_IMAGES:
        seen: Tensor = trunk(images)
        return seen
    return torch.cat([trunk(part) for part in torch.split(images, TRUNK_IMAGES)])


def drop_detail(images: Tensor, detail_px: int) -> Tensor:
    """Images (n, 3, S, S) as ``detail_px`` pixels a side would show them, in the same size."""
    small = nn.functional.interpolate(images, size=(detail_px, detail_px), mode="area")
    large = nn.functional.interpolate(small, size=images.shape[-2:], mode="bicubic", align_corners=False)
    return large.contiguous(memory_format=torch.channels_last)


def find_linear(head: nn.Module) -> nn.Linear | None:
    """The layer that gives the logit, where the head is a global average and one linear layer; None where it is not.

    Such a head splits the logit into cells: each adds what the layer makes of it, and the bias is the rest.
    """
    parts = [part for part in head.children() if not isinstance(part, nn.Dropout | nn.Flatten | nn.Identity)]
    if len(parts) == 2 and isinstance(parts[0], nn.AdaptiveAvgPool2d) and isinstance(parts[1], nn.Linear):
        return parts[1]
    return None


def fold_norms(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place: the same answer for less work.

    Only for scoring: a folded network has no norms left to train.

    Args:
        module: in evaluation mode; its norms follow their convolutions in order of definition.
    """
    for child in module.children():
        fold_norms(child)
    for (first, convolution), (second, norm) in pairwise(list(module.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(convolution, norm).requires_grad_(False))
            setattr(module, second, nn.Identity())


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Bring uint8 images to a network's range.

    Args:
        images: (n, S, S, 3) uint8 RGB.
        mean, std: per channel, on the [0, 1] scale.

    Returns:
        (n, 3, S, S) float32, channels-last in memory.
    """
    planes = images.permute(0, 3, 1, 2).float().div_(255)
    shift = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=images.device).view(1, 3, 1, 1)
    return ((planes - shift) / scale).contiguous(memory_format=torch.channels_last)
