"""Small networks to compare with: MesoNet, SimpleNet, and a plain one of three blocks.

Afchar et al. 2018 (arXiv 1809.00888) and Hasanpour et al. 2016 (arXiv 1608.06037).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from space.models.member import Backbone

MESO_CELLS = 8  # of the last map at MesoNet's own 256 px; other sizes are pooled to it
MESO_HIDDEN = 16
# Channels of 3x3; 0: halve the sides. The first halving is published after the fourth, for pictures of 32 px.
SIMPLE_TRUNK = (64, 0, 128, 128, 128, 128, 128, 256, 0, 256, 256, 0, 512, 0)
SIMPLE_DROPOUT = 0.2


class MesoInception(nn.Module):
    """1x1, 3x3 and dilated 3x3 convolutions side by side.

    Args:
        widths: outputs of the four branches: 1x1, and 3x3 with dilation 1, 2 and 3.
    """

    def __init__(self, n_in: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, *rest = widths
        self.branches = nn.ModuleList([nn.Sequential(nn.Conv2d(n_in, first, 1), nn.ReLU())])
        for dilation, width in enumerate(rest, start=1):
            reduce = nn.Conv2d(n_in, width, 1), nn.ReLU()
            look = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation), nn.ReLU()
            self.branches.append(nn.Sequential(*reduce, *look))
        self.norm = nn.BatchNorm2d(sum(widths))

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, sum of widths, H, W)."""
        normed: Tensor = self.norm(torch.cat([branch(images) for branch in self.branches], dim=1))
        return normed


def _look(n_in: int, n_out: int, kernel: int) -> tuple[nn.Module, ...]:
    """MesoNet's order: the norm comes after the ReLU."""
    return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2), nn.ReLU(), nn.BatchNorm2d(n_out)


def _build_meso(first: tuple[nn.Module, ...], width: int, second: tuple[nn.Module, ...], dropout: float) -> Backbone:
    half = nn.MaxPool2d(2)
    trunk = nn.Sequential(*first, half, *second, half, *_look(width, 16, 5), half, *_look(16, 16, 5), half)
    features = 16 * MESO_CELLS**2
    head = nn.Sequential(
        *(nn.AdaptiveAvgPool2d(MESO_CELLS), nn.Flatten(), nn.Dropout(dropout), nn.Linear(features, MESO_HIDDEN)),
        *(nn.LeakyReLU(0.1), nn.Dropout(dropout), nn.Linear(MESO_HIDDEN, 1)),
    )
    # The published last pooling by four is two by two: stride 16 lies between them.
    return Backbone(trunk=trunk, tail=nn.MaxPool2d(2), head=head, trunk_channels=16, tail_channels=16)


def _build_meso4(dropout: float | None) -> Backbone:
    return _build_meso(_look(3, 8, 3), 8, _look(8, 8, 5), 0.5 if dropout is None else dropout)


def _build_mesoinception4(dropout: float | None) -> Backbone:
    first, second = MesoInception(3, (1, 4, 4, 2)), MesoInception(11, (2, 4, 4, 2))
    return _build_meso((first,), 12, (second,), 0.5 if dropout is None else dropout)


def _convolve(n_in: int, n_out: int, kernel: int = 3) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(n_out), nn.ReLU()


def _simple_layers(dropout: float) -> Iterator[nn.Module]:
    n_in = 3
    for width in SIMPLE_TRUNK:
        if width:
            yield from _convolve(n_in, width)
            n_in = width
        else:
            yield nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout))


def _build_simplenet(dropout: float | None) -> Backbone:
    tail = nn.Sequential(*_convolve(512, 2048, 1), *_convolve(2048, 256, 1), nn.MaxPool2d(2), *_convolve(256, 256))
    p = SIMPLE_DROPOUT if dropout is None else dropout
    head = _pooled_head(256, p)
    return Backbone(nn.Sequential(*_simple_layers(p)), tail, head, trunk_channels=512, tail_channels=256)


def _build_plain(dropout: float | None) -> Backbone:
    trunk = nn.Sequential(*_convolve(3, 32), nn.MaxPool2d(4), *_convolve(32, 64), nn.MaxPool2d(4))
    tail = nn.Sequential(*_convolve(64, 128), nn.MaxPool2d(2))
    return Backbone(trunk, tail, _pooled_head(128, 0.5 if dropout is None else dropout), 64, 128)


def _pooled_head(channels: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, 1))


BUILDERS: dict[str, Callable[[float | None], Backbone]] = {
    "meso4": _build_meso4,
    "mesoinception4": _build_mesoinception4,
    "simplenet": _build_simplenet,
    "plain_cnn": _build_plain,
}


def build(architecture: str, *, dropout: float | None = None) -> Backbone:
    """An untrained network cut at strides 16 and 32.

    Args:
        architecture: a key of ``BUILDERS``.
        dropout: before the fully connected layers, and after SimpleNet's poolings; None: as published, 0.5 for the
            plain one.
    """
    return BUILDERS[architecture](dropout)
