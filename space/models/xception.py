"""Xception (Chollet 2016, arXiv 1610.02357), padded so that its cells lie at strides 16 and 32."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from space.models.member import Backbone

N_MIDDLE = 8
MIDDLE, LAST = 728, 2048


class Separable(nn.Sequential):
    """A 3x3 convolution of every channel by itself, then a 1x1 convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False), nn.Conv2d(n_in, n_out, 1, bias=False)
        )


class Block(nn.Module):
    """Separable convolutions around which the input is added again.

    Args:
        widths: channels of the input and of each convolution's output.
        stride: 2: pooled at the end.
        starts_with_relu: all but the first block do.
    """

    def __init__(self, *widths: int, stride: int = 1, starts_with_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(pairwise(widths)):
            if i or starts_with_relu:
                layers.append(nn.ReLU())
            layers += [Separable(n_in, n_out), nn.BatchNorm2d(n_out)]
        if stride == 2:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)
        self.skip: nn.Module = nn.Identity()
        if stride == 2 or widths[0] != widths[-1]:
            convolution = nn.Conv2d(widths[0], widths[-1], 1, stride=stride, bias=False)
            self.skip = nn.Sequential(convolution, nn.BatchNorm2d(widths[-1]))

    def forward(self, images: Tensor) -> Tensor:
        """(n, first width, H, W) -> (n, last width, H / stride, W / stride)."""
        out: Tensor = self.layers(images) + self.skip(images)
        return out


def build(architecture: str, *, dropout: float | None = None) -> Backbone:  # noqa: ARG001 - there is one
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: "xception".
        dropout: before the logit; None or 0: none, as published for ImageNet.
    """
    trunk = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        Block(64, 128, 128, stride=2, starts_with_relu=False),
        Block(128, 256, 256, stride=2),
        Block(256, MIDDLE, MIDDLE, stride=2),
        *(Block(MIDDLE, MIDDLE, MIDDLE, MIDDLE) for _ in range(N_MIDDLE)),
    )
    tail = nn.Sequential(
        Block(MIDDLE, MIDDLE, 1024, stride=2),
        *(Separable(1024, 1536), nn.BatchNorm2d(1536), nn.ReLU()),
        *(Separable(1536, LAST), nn.BatchNorm2d(LAST), nn.ReLU()),
    )
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout or 0.0), nn.Linear(LAST, 1))
    return Backbone(trunk=trunk, tail=tail, head=head, trunk_channels=MIDDLE, tail_channels=LAST)
